package e2e

import (
	"math"
	"strings"
	"testing"
)

// explanation is the part of `plan -o json` that the tests look at.
type explanation struct {
	FilesIn  figure `json:"files_in"`
	RowsIn   figure `json:"rows_in"`
	FilesOut figure `json:"files_out"`
	Warnings []struct {
		Text   string `json:"text"`
		Better string `json:"better"`
	} `json:"warnings"`
}

type figure struct {
	Value int64  `json:"value"`
	Kind  string `json:"kind"`
}

func TestPlanAnnouncesTheEightThousandFilesThatTheJobMakes(t *testing.T) {
	in := events(t, eventRows, eventFiles)
	j := newJob(t)
	obvious := []string{"--by", "device_id", "-n", "16", "--partition-by", "type"}

	var plan explanation
	mustSluice(t, append([]string{"plan", in, "--out", j.out, "-o", "json"}, obvious...)...).decode(t, &plan)
	if !within(plan.FilesOut.Value, 16*eventTypes, 0.05) {
		t.Errorf("the plan announces %d files, want about %d", plan.FilesOut.Value, 16*eventTypes)
	}
	if plan.FilesIn != (figure{eventFiles, "exact"}) || plan.RowsIn != (figure{eventRows, "exact"}) {
		t.Errorf("the plan reads %+v files with %+v rows, want exactly %d and %d", plan.FilesIn, plan.RowsIn, eventFiles, eventRows)
	}
	if len(plan.Warnings) != 1 {
		t.Fatalf("want one warning, got %+v", plan.Warnings)
	}
	better := strings.Fields(strings.Split(plan.Warnings[0].Better, "#")[0])
	if want := "sluice repartition " + in + " --partition-by type --out " + j.out; strings.Join(better, " ") != want {
		t.Errorf("the better command is\n%s, want\n%s", better, want)
	}
	j.wroteNothing(t)

	r := j.mustRepartition(t, in, obvious...)
	files := dataFiles(t, j.out, 1)
	if !within(int64(len(files)), plan.FilesOut.Value, 0.05) || r.FilesOut != int64(len(files)) {
		t.Errorf("%d files (%d by the receipt), but the plan announced %d", len(files), r.FilesOut, plan.FilesOut.Value)
	}
	sameRows(t, in, j.out, "type")

	// The plan of the better command holds too.
	var betterPlan explanation
	mustSluice(t, "plan", in, "--out", j.out, "--partition-by", "type", "-o", "json").decode(t, &betterPlan)
	if betterPlan.FilesOut != (figure{eventTypes, "exact"}) || len(betterPlan.Warnings) != 0 {
		t.Errorf("the plan of the better command announces %+v with the warnings %+v, want exactly %d files and none",
			betterPlan.FilesOut, betterPlan.Warnings, eventTypes)
	}
}

// within reports whether got differs from want by no more than the fraction of it.
func within(got, want int64, fraction float64) bool {
	return math.Abs(float64(got-want)) <= fraction*float64(want)
}
