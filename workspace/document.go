package workspace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds a definition file: far above what people write, far below what
// hurts.
const maxFile = 1 << 20

// A Document is one definition: one YAML document of a file.
type Document struct {
	File   string
	Line   int    // of its first line in the file, from 1
	Kind   string // workspace, segment or campaign
	Name   string // empty only for a workspace
	Source string // as written; stored, exported and parsed again from here
	root   *yaml.Node
}

// ReadFiles reads definitions from files and from the *.yaml and *.yml files of
// folders, in name order; "-" is standard input. Its error is a [Faults] when
// the trouble lies in what the files say.
func ReadFiles(paths []string, stdin io.Reader) ([]Document, error) {
	var files []string
	for _, p := range paths {
		if p == "-" {
			files = append(files, p)
			continue
		}
		info, err := os.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("read definitions: %w", err)
		}
		if !info.IsDir() {
			files = append(files, p)
			continue
		}
		found, err := inFolder(p)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("no .yaml file in %s", p)
		}
		files = append(files, found...)
	}
	var docs []Document
	var faults Faults
	for _, name := range files {
		data, err := readBounded(name, stdin)
		if err != nil {
			return nil, err
		}
		if name == "-" {
			name = "standard input"
		}
		d, f := Parse(name, data)
		docs, faults = append(docs, d...), append(faults, f...)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return docs, nil
}

func inFolder(dir string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && (strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".yml")) {
			found = append(found, path)
		}
		return err
	})
	sort.Strings(found)
	return found, err
}

func readBounded(name string, stdin io.Reader) ([]byte, error) {
	var r io.Reader = stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read definitions: %w", err)
		}
		defer f.Close()
		r = f
	}
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than 1 MiB; split it into several files", name)
	}
	return data, nil
}

// separator is a line that ends a document: YAML's start of the next one, or its
// end of this one. What else stands in the line is its group.
var separator = regexp.MustCompile(`^(?:---|\.\.\.)(?:\s+([^\s#].*?)?|\s*$)`)

// Parse splits a file into its documents and checks the kind and name of each.
// Nothing in a file is passed over: what belongs to no document is a fault.
func Parse(file string, data []byte) ([]Document, Faults) {
	text := string(bytes.TrimPrefix(data, []byte("\uFEFF")))
	if at := notText(text); at >= 0 {
		line := 1 + strings.Count(text[:at], "\n")
		return nil, Faults{{File: file, Line: line, Column: 1, Msg: "not text in UTF-8", Hint: "save the file as UTF-8; dunlin reads nothing else"}}
	}
	var docs []Document
	var faults Faults
	lines := strings.SplitAfter(text, "\n")
	start := 0
	for i := 0; i <= len(lines); i++ {
		if i < len(lines) && !separator.MatchString(lines[i]) {
			continue
		}
		d, f := parseOne(file, start+1, strings.Join(lines[start:i], ""))
		faults = append(faults, f...)
		if d != nil {
			docs = append(docs, *d)
		}
		if i < len(lines) {
			faults = append(faults, besideSeparator(file, i+1, lines[i])...)
		}
		start = i + 1
	}
	return docs, faults
}

// notText is the place of the first byte that no text in UTF-8 has, else -1.
func notText(s string) int {
	if at := strings.IndexByte(s, 0); at >= 0 {
		return at
	}
	if utf8.ValidString(s) {
		return -1
	}
	for at, r := range s {
		if _, size := utf8.DecodeRuneInString(s[at:]); r == utf8.RuneError && size == 1 {
			return at
		}
	}
	return -1
}

// besideSeparator refuses a definition that begins in the line that separates
// it from the one before.
func besideSeparator(file string, line int, text string) Faults {
	m := separator.FindStringSubmatchIndex(text)
	if m[2] < 0 {
		return nil
	}
	d := Document{File: file, Line: line, Source: text}
	return Faults{d.fault(line, utf8.RuneCountInString(text[:m[2]])+1, len(text), "a definition begins in the line below \""+text[:3]+"\"", "move this to a line of its own")}
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

func parseOne(file string, line int, source string) (*Document, Faults) {
	d := &Document{File: file, Line: line, Source: source}
	var root yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(source))
	err := decoder.Decode(&root)
	if errors.Is(err, io.EOF) {
		return nil, nil // nothing but comments
	}
	if err != nil {
		at, msg := line, err.Error()
		if m := yamlLine.FindStringSubmatch(msg); m != nil {
			n, _ := strconv.Atoi(m[1])
			at, msg = line+max(n, 1)-1, m[2]
		}
		f := d.fault(at, 1, 1, "not valid YAML: "+msg, "check the indentation and the quotes around here")
		if strings.Contains(f.Excerpt, "{{") {
			f.Hint = "put a text with {{ … }} in double quotes, or on the lines after \"|\""
		}
		return nil, Faults{f}
	}
	if len(root.Content) == 0 || root.Content[0].Tag == "!!null" {
		return nil, nil
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, Faults{d.fault(line, 1, 1, "there is more than one definition here", "put a line with only \"---\" between them")}
	}
	d.root = root.Content[0]
	var faults Faults
	m := d.Mapping(&faults)
	if m == nil {
		return nil, faults
	}
	kind := m.Choice("kind", true, "workspace", "segment", "campaign")
	name := m.Text("name", kind.Value != "workspace")
	d.Kind, d.Name = kind.Value, name.Value
	if d.Kind != "workspace" && name.Set && !validName.MatchString(d.Name) {
		faults = append(faults, name.Fault("use lower-case letters, digits and hyphens, as in \"card-expiring\"", "%q is not a name", d.Name))
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return d, nil
}

var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// fault is a fault at a place in the file; line is the file's.
func (d *Document) fault(line, column, width int, msg, hint string) Fault {
	lines := strings.Split(d.Source, "\n")
	if last := d.Line + len(lines) - 1; line > last { // YAML has line breaks that editors do not count
		line, column = last, 1
	}
	excerpt := strings.TrimRight(lines[line-d.Line], "\r")
	width = max(1, min(width, utf8.RuneCountInString(excerpt)-column+1))
	return Fault{File: d.File, Line: line, Column: column, Width: width, Msg: msg, Hint: hint, Excerpt: excerpt}
}

// ErrNotFound is returned when a name is not in the store.
var ErrNotFound = errors.New("not found")
