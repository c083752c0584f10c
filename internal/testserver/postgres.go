package testserver

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// SQLPassword is the password of the user "ottavo" of Postgres and MariaDB.
const SQLPassword = "test-only"

// Postgres starts a PostgreSQL with the user "ottavo", who may do anything, and
// the database "postgres", and stops it when the test ends. It keeps its data over
// Stop and Start. The test is skipped when there is none on this machine.
func Postgres(t testing.TB) *Process {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Skip("SKIP: PostgreSQL not found: apt-get install postgresql")
	}
	bin := slices.Max(found)
	dir, as := ownDir(t, "postgres")
	passwords := filepath.Join(dir, "password")
	if err := os.WriteFile(passwords, []byte(SQLPassword), 0o600); err != nil {
		t.Fatal(err)
	}
	own(t, passwords, as)
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "--pgdata="+data, "--username=ottavo", "--pwfile="+passwords,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = dir, as
	runSetup(t, initdb)
	p := &Process{
		t: t, name: "PostgreSQL",
		command: func(port int) *exec.Cmd {
			cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", strconv.Itoa(port), "-h", "127.0.0.1", "-k", dir,
				"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=16MB")
			cmd.Dir, cmd.SysProcAttr = dir, clone(as)
			return cmd
		},
		ready: func(addr string) error {
			// It asks who knocks for the password when it is ready, and says why not before.
			const hello = "\x00\x03\x00\x00user\x00ottavo\x00database\x00postgres\x00\x00"
			out, err := talk(addr, "\x00\x00\x00"+string(rune(len(hello)+4))+hello)
			if err == nil && !strings.HasPrefix(out, "R") {
				err = fmt.Errorf("it says %q", out)
			}
			return err
		},
	}
	p.launch()
	return p
}

// MariaDB starts a MariaDB with the user "ottavo", who may do anything, and stops
// it when the test ends. It keeps its data over Stop and Start. The test is skipped
// when there is none on this machine.
func MariaDB(t testing.TB) *Process {
	t.Helper()
	const install = "apt-get install mariadb-server"
	server, setup := needCommand(t, "mariadbd", install), needCommand(t, "mariadb-install-db", install)
	dir, as := ownDir(t, "mysql")
	data := filepath.Join(dir, "data")
	users := filepath.Join(dir, "users.sql")
	sql := fmt.Sprintf("CREATE USER IF NOT EXISTS 'ottavo'@'%%' IDENTIFIED BY '%s';\nGRANT ALL ON *.* TO 'ottavo'@'%%';\n", SQLPassword)
	if err := os.WriteFile(users, []byte(sql), 0o600); err != nil {
		t.Fatal(err)
	}
	own(t, users, as)
	make := exec.Command(setup, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
	// Temporary tables of servers that start at a time must not meet in /tmp.
	env := append(os.Environ(), "TMPDIR="+dir)
	make.Dir, make.SysProcAttr, make.Env = dir, as, env
	runSetup(t, make)
	p := &Process{
		t: t, name: "MariaDB",
		command: func(port int) *exec.Cmd {
			cmd := exec.Command(server, "--no-defaults", "--datadir="+data, "--bind-address=127.0.0.1", "--port="+strconv.Itoa(port),
				"--socket="+filepath.Join(dir, "s"), "--pid-file="+filepath.Join(dir, "pid"), "--init-file="+users, "--skip-name-resolve",
				"--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M", "--max-allowed-packet=64M")
			cmd.Dir, cmd.SysProcAttr, cmd.Env = dir, clone(as), env
			return cmd
		},
		ready: func(addr string) error {
			// It speaks first, with the version in its greeting.
			out, err := talk(addr, "")
			if err == nil && len(out) < 20 {
				err = fmt.Errorf("it says %q", out)
			}
			return err
		},
	}
	p.launch()
	return p
}

// ownDir makes a folder for a server that does not run as root: as root it belongs
// to name, and the attributes make a process run as name.
func ownDir(t testing.TB, name string) (string, *syscall.SysProcAttr) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ottavo-"+name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("testserver: %v", err)
		}
	})
	if os.Geteuid() != 0 {
		return dir, &syscall.SysProcAttr{}
	}
	u, err := user.Lookup(name)
	if err != nil {
		t.Skipf("SKIP: there is no user %s to run it as: %v", name, err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err1 != nil || err2 != nil {
		t.Fatalf("testserver: the ids of user %s: %v, %v", name, err1, err2)
	}
	as := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	own(t, dir, as)
	return dir, as
}

// own gives a file to who a process runs as.
func own(t testing.TB, path string, as *syscall.SysProcAttr) {
	t.Helper()
	if as.Credential == nil {
		return
	}
	if err := os.Chown(path, int(as.Credential.Uid), int(as.Credential.Gid)); err != nil {
		t.Fatal(err)
	}
}

func clone(as *syscall.SysProcAttr) *syscall.SysProcAttr { return new(*as) }

// runSetup runs a command that ends by itself.
func runSetup(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Err; err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("testserver: %s: %v", cmd.Path, err)
	}
	timer := time.AfterFunc(startTimeout, func() { _ = cmd.Process.Kill() }) // it may have ended
	defer timer.Stop()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("testserver: %s: %v\n%s", cmd.Path, err, &out)
	}
}
