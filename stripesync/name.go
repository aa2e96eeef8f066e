package stripesync

// Name is the account's, as in /webhooks/stripe/{account}.
func (s *Sync) Name() string { return s.name }
