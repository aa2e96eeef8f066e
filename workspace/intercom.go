package workspace

// parseIntercom reads intercom:
//
//	intercom:
//	  sender: admin:991267716
//	  region: eu
//	  external_id: user_id
//	  create_contacts: true
//	  import: true
//
// Only the sender is required; what is left out is off.
func (s *Settings) parseIntercom(m *Mapping) {
	i := m.Map("intercom")
	if i == nil {
		return
	}
	if f := i.Text("sender", true); f.Set {
		s.Sender = parseAdmin(i, f)
	}
	s.Region = i.Choice("region", false, "us", "eu", "au").Value
	if f := i.Text("external_id", false); f.Set {
		if s.ExternalID = f.Value; f.Value == "" {
			i.Add(f.Fault("write the key of the metadata, as in \"user_id\", or take the line out", "\"external_id\" is empty"))
		}
	}
	s.CreateContacts = i.Choice("create_contacts", false, "false", "true").Value == "true"
	s.Import = i.Choice("import", false, "false", "true").Value == "true"
	i.Done()
}
