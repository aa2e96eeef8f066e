package pgdev

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// pid is the process in postmaster.pid, if it is a living PostgreSQL, else 0.
func (s server) pid() int {
	text, err := os.ReadFile(s.paths.pid())
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 1 || !isPostgres(pid) {
		return 0
	}
	return pid
}

// isPostgres reports whether the process lives, is not a zombie, and has a name
// like a PostgreSQL's.
func isPostgres(pid int) bool {
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return false
	}
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil { // Linux: pid (name) state …
		name, rest, ok := strings.Cut(string(stat), ") ")
		return ok && !strings.HasPrefix(rest, "Z") && namesPostgres(name)
	}
	out, err := exec.Command("ps", "-o", "stat=,comm=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return false
	}
	return !bytes.HasPrefix(bytes.TrimSpace(out), []byte("Z")) && namesPostgres(string(out))
}

func namesPostgres(name string) bool {
	return strings.Contains(name, "postgres") || strings.Contains(name, "postmaster")
}

// openLog opens the log to append to, after moving a long one aside.
func (s server) openLog() (*os.File, error) {
	if info, err := os.Stat(s.paths.log); err == nil && info.Size() > maxLog {
		if err := os.Rename(s.paths.log, s.paths.log+".1"); err != nil {
			return nil, err
		}
	}
	log, err := os.OpenFile(s.paths.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := s.owner.own(s.paths.log); err != nil {
		log.Close()
		return nil, err
	}
	return log, nil
}

func (s server) logSince(offset int64) string {
	file, err := os.Open(s.paths.log)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	text, err := io.ReadAll(io.NewSectionReader(file, offset, 1<<20))
	if err != nil {
		return err.Error()
	}
	return tail(text)
}

// tail is the end of a program's output, indented to go below a message.
func tail(text []byte) string {
	const most = 20
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) > most {
		lines = lines[len(lines)-most:]
	}
	return "  " + strings.Join(lines, "\n  ")
}
