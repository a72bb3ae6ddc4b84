package commit

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestScripts walks through publications. Each line is an event: begin, stop, restart, sleep DURATION,
// done STEP [committed], failed STEP [final]. The verdict and the durable state follow.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var p Publication
			now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			var out strings.Builder
			for _, line := range strings.Split(d.Input, "\n") {
				w := strings.Fields(line)
				var e Event
				switch w[0] {
				case "begin":
					e = Begin{}
				case "stop":
					e = Stop{}
				case "restart":
					e = Restarted{}
				case "sleep":
					pause, err := time.ParseDuration(w[1])
					if err != nil {
						t.Fatal(err)
					}
					now, e = now.Add(pause), Tick{}
				case "done":
					e = Done{Step: Step(w[1]), Committed: len(w) > 2}
				case "failed":
					e = Failed{Step: Step(w[1]), Retryable: len(w) == 2}
				default:
					t.Fatalf("unknown event %q", line)
				}
				a, err := p.Step(now, e)
				fmt.Fprintf(&out, "%-18s %s", line, verdict(a))
				if at, ok := p.Deadline(); ok {
					fmt.Fprintf(&out, " for %v", at.Sub(now))
				}
				if err != nil {
					fmt.Fprintf(&out, " error: %v", err)
				}
				fmt.Fprintf(&out, "  [%s too late=%v]\n", &p, p.TooLate())
			}
			return out.String()
		})
	})
}

func verdict(a Action) string {
	return strings.TrimSpace([...]string{"wait", "do", "give up", "succeeded", "stopped", "stuck"}[a.Verdict] + " " + string(a.Step))
}
