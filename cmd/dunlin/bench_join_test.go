package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// everybodyJoins lets the built program make a list that everybody is in, and
// tell of it.
func (w *benchWorld) everybodyJoins() {
	w.save([]benchSegment{{name: "everybody", rule: "stripe_id is set"}})
	program := filepath.Join(w.TempDir(), "dunlin")
	if out, err := exec.CommandContext(w.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		w.Fatalf("build the program: %v\n%s", err, out)
	}
	peak := w.run(program, "tick")

	var joined int64
	var seconds, gap float64
	var ticks int
	w.check(w.db.QueryRow(w.Context(), `
		select coalesce(sum(joined), 0), extract(epoch from max(finished_at) filter (where joined > 0) - min(started_at))::float8, count(*),
		       (select max(extract(epoch from gap))::float8 from (select finished_at - lag(finished_at, 1, started_at) over (order by tick_id) as gap from dunlin.ticks) x)
		from dunlin.ticks`).Scan(&joined, &seconds, &ticks, &gap))
	var logged int64
	w.row(&logged, `select count(*) from dunlin.membership_log where segment = 'everybody' and change = 'join'`)
	if joined != int64(w.size) || logged != joined {
		w.Errorf("everybody joins\n got %d, %d in the log\nwant %d", joined, logged, w.size)
	}
	rate := float64(joined) / seconds
	who := thousands(w.size) + " customers join one segment: "
	w.figure(who+"peak memory of dunlin tick", fmt.Sprintf("%.0f MB", float64(peak)/1e6), "at most 100 MB", peak <= 100e6)
	w.figure(who+"joins a second, from the start to the last one told", thousands(int(rate)), "at least 50,000", rate >= 50_000)
	w.note("## Everybody joins\n\nThe list was made and told of in %d ticks and %.1f s. The longest time between the ends of two of them was %.0f ms: for so long others had to wait.", ticks, seconds, gap*1000)
	w.progress("%s: %d ticks in %.1f s, largest gap %.0f ms", w.name, ticks, seconds, gap*1000)
}

// run runs the program on the world's database and returns the most memory it
// ever had resident, in bytes.
func (w *benchWorld) run(program string, args ...string) (peak int64) {
	return w.runWith(program, nil, args...)
}

// runWith does so with more in the program's environment.
func (w *benchWorld) runWith(program string, env []string, args ...string) (peak int64) {
	cmd := exec.CommandContext(w.Context(), program, args...)
	cmd.Env = append([]string{"DATABASE_URL=" + w.url, "DRY_RUN=true"}, env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	w.check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for every := time.NewTicker(10 * time.Millisecond); ; {
		select {
		case err := <-ended:
			every.Stop()
			if err != nil {
				w.Fatalf("dunlin %s: %v\n%s", strings.Join(args, " "), err, &errs)
			}
			if peak == 0 {
				peak = maxResident(cmd.ProcessState)
			}
			return peak
		case <-every.C:
			peak = max(peak, highWater(cmd.Process.Pid))
		}
	}
}

// highWater is the most memory a running process has had resident, where the
// system says (Linux). Its rusage would do but for one thing: there a child
// begins with the peak of its parent.
func highWater(pid int) int64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmHWM:" {
			kB, _ := strconv.ParseInt(fields[1], 10, 64)
			return kB << 10
		}
	}
	return 0
}

// maxResident is in bytes on macOS and in kB elsewhere.
func maxResident(p *os.ProcessState) int64 {
	usage, ok := p.SysUsage().(*syscall.Rusage)
	switch {
	case !ok:
		return 0
	case runtime.GOOS == "darwin":
		return int64(usage.Maxrss)
	}
	return int64(usage.Maxrss) << 10
}
