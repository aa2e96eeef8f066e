package pgdev

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// maxSocketPath is what fits into sockaddr_un on macOS, the smaller of the two
// (104 bytes there, 108 on Linux), with its closing zero.
const maxSocketPath = 103

// paths are the places of one cluster.
type paths struct {
	dir       string // everything below, but sometimes the socket
	data      string // PGDATA
	log       string // the server's log, appended to
	gate      string // lock: somebody is starting or stopping
	users     string // lock: shared by everybody who uses the server
	throwaway string // exists: the data is throwaway
	socket    string // directory of the socket: dir, unless that is too long a path
}

// An owner is the user whose files and server these are.
type owner struct {
	name     string
	uid, gid int
	dropped  bool // this process is root and the owner is somebody else
}

// currentOwner is the current user, but for root the user postgres, or else
// nobody: PostgreSQL refuses to run as root.
func currentOwner() (owner, error) {
	if uid := os.Getuid(); uid != 0 {
		return owner{name: "uid " + strconv.Itoa(uid), uid: uid, gid: os.Getgid()}, nil
	}
	for _, name := range []string{"postgres", "_postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		// macOS writes nobody's uid as -2; the kernel means the unsigned number.
		uid, err1 := strconv.ParseInt(u.Uid, 10, 64)
		gid, err2 := strconv.ParseInt(u.Gid, 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return owner{}, fmt.Errorf("ids of user %q: %w", name, err)
		}
		return owner{name: name, uid: int(uint32(uid)), gid: int(uint32(gid)), dropped: true}, nil
	}
	return owner{}, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody; run as an ordinary user, or set DATABASE_URL")
}

// sysProcAttr makes a child run as the owner. A server gets a session of its
// own, so that Ctrl-C in our terminal does not reach it before us.
func (o owner) sysProcAttr(ownSession bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: ownSession}
	if o.dropped {
		attr.Credential = &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}
	}
	return attr
}

// own gives a file that root made to the owner.
func (o owner) own(path string) error {
	if !o.dropped {
		return nil
	}
	return os.Lchown(path, o.uid, o.gid)
}

// prepare makes the directories of a cluster and refuses what is not safely ours.
func prepare(dir string, o owner) (paths, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return paths{}, err
	}
	if err := mkdirParents(filepath.Dir(dir), o); err != nil {
		return paths{}, fmt.Errorf("directory for the private PostgreSQL: %w", err)
	}
	if resolved, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil {
		dir = filepath.Join(resolved, filepath.Base(dir))
	}
	if err := mkdirPrivate(dir, o); err != nil {
		return paths{}, err
	}
	p := paths{
		dir:       dir,
		data:      filepath.Join(dir, "data"),
		log:       filepath.Join(dir, "log"),
		gate:      filepath.Join(dir, "gate.lock"),
		users:     filepath.Join(dir, "users.lock"),
		throwaway: filepath.Join(dir, "throwaway"),
		socket:    dir,
	}
	if len(p.socketFile()) > maxSocketPath {
		sum := sha256.Sum256([]byte(dir))
		p.socket = filepath.Join("/tmp", "dunlin-"+hex.EncodeToString(sum[:6]))
		if err := mkdirPrivate(p.socket, o); err != nil {
			return paths{}, err
		}
	}
	return p, nil
}

func (p paths) pid() string { return filepath.Join(p.data, "postmaster.pid") }

func (p paths) socketFile() string { return filepath.Join(p.socket, ".s.PGSQL."+port) }

// mkdirParents makes what is missing of dir, and checks that the owner can enter
// all of it: it would be a riddle to read in the server's log.
func mkdirParents(dir string, o owner) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := mkdirParents(filepath.Dir(dir), o); err != nil {
			return err
		}
		mode := fs.FileMode(0o700)
		if o.dropped {
			mode = 0o755
		}
		if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return os.Chmod(dir, mode) // whatever the umask
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if o.dropped && !enterable(info, o) {
		return fmt.Errorf("user %s, as whom PostgreSQL runs, may not enter %s (mode %v); choose a directory outside of it, or set DATABASE_URL", o.name, dir, info.Mode().Perm())
	}
	if parent := filepath.Dir(dir); o.dropped && parent != dir {
		return mkdirParents(parent, o)
	}
	return nil
}

func enterable(info fs.FileInfo, o owner) bool {
	stat := info.Sys().(*syscall.Stat_t)
	switch {
	case int(stat.Uid) == o.uid:
		return info.Mode()&0o100 != 0
	case int(stat.Gid) == o.gid:
		return info.Mode()&0o010 != 0
	default:
		return info.Mode()&0o001 != 0
	}
}

// mkdirPrivate makes a directory that only the owner may enter. One that exists
// must be so already: in a shared place like /tmp somebody else may have made it.
func mkdirPrivate(dir string, o owner) error {
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		return o.own(dir)
	}
	if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("directory for the private PostgreSQL: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is in the way: a private PostgreSQL needs a directory there; move it away", dir)
	}
	if uid := int(info.Sys().(*syscall.Stat_t).Uid); uid == 0 && o.dropped {
		if err := o.own(dir); err != nil { // made by a root that died before it gave it away
			return err
		}
	} else if uid != o.uid {
		return fmt.Errorf("%s belongs to the user with uid %d, and PostgreSQL would run as %s (uid %d); remove it or choose another directory", dir, uid, o.name, o.uid)
	}
	if info.Mode().Perm() != 0o700 {
		return os.Chmod(dir, 0o700)
	}
	return nil
}
