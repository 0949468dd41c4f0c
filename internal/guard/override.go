// SPDX-License-Identifier: GPL-3.0-or-later

package guard

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/gate/promotion"
	"github.com/arcodange-org/sandbox/internal/oneline"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/internal/tree"
	"github.com/arcodange-org/sandbox/internal/xdg"
)

// logName and witnessName lie in the state folder: the log of overrides, and
// what promotion.Gate keeps of its clock.
const (
	logName     = "overrides.log"
	witnessName = "promotion-judged"
)

// Wish is what a run says about i_mean_prod. The command `override` reads it as
// a JSON object on the standard input.
type Wish struct {
	Value     json.RawMessage `json:"value"`        // as it was given
	Origin    string          `json:"origin"`       // where it was given
	Given     bool            `json:"command_line"` // it stands on the command line of this very run, and in no file
	Cluster   string          `json:"cluster"`      // i_mean_prod_cluster
	Token     string          `json:"token"`        // i_mean_prod_token
	Targets   []string        `json:"targets"`      // whom it concerns
	Command   []string        `json:"command"`      // the run's command line
	User      string          `json:"user"`
	Playbooks []string        `json:"playbooks"` // absolute paths of what the run plays; none for a run that plays no playbook

	// Run is what tells this run's lines in the log from another's.
	Run string `json:"run"`

	// Tree is what a promotion runs, by its hash: it is laid out from the
	// repository itself. Empty for a run out of a working tree.
	Tree string `json:"-"`
}

// record is one line of the log of overrides. The first of a run is written
// before the run goes on, and names the hosts that it was limited to; each
// further one is written before a host is connected to, and names that.
type record struct {
	Time       string   `json:"time"`
	Event      string   `json:"event"` // see allowed and connects
	Run        string   `json:"run,omitempty"`
	User       string   `json:"user"`
	Targets    []string `json:"targets"`
	Command    []string `json:"command"` // without the values that may be secrets
	Boundary   string   `json:"boundary"`
	Grant      string   `json:"grant,omitempty"`      // of the evidence of promotion that was used up
	Repository string   `json:"repository,omitempty"` // that was promoted
	Tree       string   `json:"tree,omitempty"`       // that was promoted
}

// Events of the log of overrides.
const (
	allowed  = "allowed"
	connects = "connects"
)

// override decides whether a run that says i_mean_prod may leave the sandbox,
// and writes it down before it says yes. With --reached it decides nothing more,
// and writes down whom the run connects to, each once.
func (p Process) override(ctx context.Context, args []string) int {
	set := flags("override [flags] <wish.json")
	file := set.String("boundary", "", "the boundary manifest")
	state := set.String("state", "", "directory of the log and the tokens")
	reached := set.Bool("reached", false, "write down whom a run that was let through connects to")
	if status, done := p.parse(set, args); done {
		return status
	}
	engine, err := p.load(*file)
	if err != nil {
		return p.failed(err)
	}
	if *state == "" {
		return p.wrong("override: --state is not given, and an override that is not written down is none")
	}
	var w Wish
	decoder := json.NewDecoder(p.Stdin)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&w); err != nil {
		return p.failed(fmt.Errorf("reading what the run says about i_mean_prod: %w", err))
	}
	if *reached {
		granted, err := w.reached(engine.Manifest, *state)
		if err != nil {
			return p.failed(err)
		}
		if !granted {
			fmt.Fprintln(p.Stdout, "this run was not let through, or its line in the log of overrides is gone")
			return Refused
		}
		return OK
	}
	reason, err := Override(ctx, engine.Manifest, w, *state, PromotionGate(p.Env, *state))
	if err != nil {
		return p.failed(err)
	}
	if reason != "" {
		fmt.Fprintf(p.Stdout, "%s\n", reason)
		return Refused
	}
	return OK
}

// PromotionGate is the gate by which evidence of promotion is looked at again.
// state is the directory of the log.
func PromotionGate(env []string, state string) promotion.Gate {
	return promotion.Gate{Runner: run.Exec{}, Env: env, Now: time.Now, Witness: filepath.Join(state, witnessName)}
}

// Override decides whether a wish is granted, and writes it down before it
// says so. reason is why it is not; empty if it is.
func Override(ctx context.Context, manifest *boundary.Manifest, w Wish, state string, gate promotion.Gate) (reason string, err error) {
	if reason := w.refused(manifest.Policy, state, gate.Now()); reason != "" {
		return reason, nil
	}
	entry := w.record(allowed, manifest, gate.Now())
	if path := manifest.Policy.Evidence; path != "" {
		grant, err := w.promoted(ctx, manifest, state, gate)
		if err != nil {
			return fmt.Sprintf("the boundary manifest wants evidence of promotion, and the grant %v; "+
				"the playbook promote.yml is the way, which judges, grants and runs", oneline.Join(err.Error())), nil
		}
		entry.Grant, entry.Repository, entry.Tree = grant.ID, grant.Request.Repository, grant.Tree
	}
	if w.Tree != "" {
		entry.Tree = w.Tree
	}
	return "", appendRecord(filepath.Join(state, logName), entry)
}

// record is what is written down of a wish.
func (w Wish) record(event string, manifest *boundary.Manifest, now time.Time) record {
	return record{
		Time: now.UTC().Format(time.RFC3339), Event: event, Run: w.Run, User: w.User, Targets: w.Targets, Command: withoutSecrets(w.Command), Boundary: manifest.File,
	}
}

// reached writes down whom a run connects to, once for each; granted tells
// whether the log says that the run was let through at all.
func (w Wish) reached(manifest *boundary.Manifest, state string) (granted bool, err error) {
	log, entry := filepath.Join(state, logName), w.record(connects, manifest, time.Now())
	data, err := os.ReadFile(log)
	if err != nil {
		return false, fmt.Errorf("reading the log of overrides: %w", err)
	}
	written := false
	for line := range strings.Lines(string(data)) {
		var old record
		if json.Unmarshal([]byte(line), &old) != nil || old.Run != w.Run || old.Run == "" {
			continue // another's line, or one of which the end is missing
		}
		granted = granted || old.Event == allowed
		written = written || old.Event == connects && slices.Equal(old.Targets, w.Targets)
	}
	if !granted || written {
		return granted, nil
	}
	return true, appendRecord(log, entry)
}

// refused is why the wish is not granted, by all but evidence; empty if it is.
func (w Wish) refused(policy boundary.Policy, state string, now time.Time) string {
	if !w.Given {
		return fmt.Sprintf("i_mean_prod comes from %s, where it would be true of every run; "+
			"give it to this run alone, as -e i_mean_prod=true", w.Origin)
	}
	// Ansible hands key=value on as text, so the word true is as real as the boolean.
	if value := string(w.Value); value != "true" && value != `"true"` && value != `"True"` {
		return fmt.Sprintf("i_mean_prod is %s, which is not true; write -e i_mean_prod=true if production is really meant", value)
	}
	if policy.ClusterName != "" && w.Cluster != policy.ClusterName {
		return "the boundary manifest wants the production cluster's name typed in as well: -e i_mean_prod_cluster=NAME"
	}
	if policy.TokenExpiry > 0 {
		if err := spend(state, w.Token, policy.TokenExpiry, now); err != nil {
			return fmt.Sprintf("the boundary manifest wants a fresh token (%v): make one with `prod-ip-guard token`, then give -e i_mean_prod_token=TOKEN", err)
		}
	}
	return ""
}

// promoted uses up the evidence of promotion that the manifest asks for. What
// runs must be what was promoted: the tree that a promotion laid out, or else a
// working tree that is exactly that, and holds everything that is played.
func (w Wish) promoted(ctx context.Context, manifest *boundary.Manifest, state string, gate promotion.Gate) (promotion.Grant, error) {
	grant, err := gate.Redeem(ctx, manifest.Policy.Evidence, func(id string) (bool, error) { return spent(filepath.Join(state, logName), id) })
	if err != nil {
		return promotion.Grant{}, err
	}
	digest, err := evidence.Digest(manifest.File)
	if err != nil {
		return promotion.Grant{}, fmt.Errorf("cannot be held against the boundary manifest: %w", err)
	}
	switch {
	case digest != grant.Boundary:
		return promotion.Grant{}, errors.New("was given with another boundary manifest")
	case w.Tree != "" && w.Tree != grant.Tree:
		return promotion.Grant{}, fmt.Errorf("is for the tree %s, and %s is to run", grant.Tree, w.Tree)
	case w.Tree != "":
		return grant, nil
	case len(w.Playbooks) == 0:
		return promotion.Grant{}, errors.New("is for playbooks, and this run plays none")
	}
	tree, err := tree.Of(ctx, gate.Runner, grant.Request.Path)
	if err != nil {
		return promotion.Grant{}, fmt.Errorf("is for a working tree that cannot be read: %w", err)
	}
	if tree.Tree != grant.Tree || tree.Dirty {
		return promotion.Grant{}, fmt.Errorf("is for the tree %s, which is not what lies in %s", grant.Tree, grant.Request.Path)
	}
	for _, playbook := range w.Playbooks {
		if _, inside := promotion.Within(grant.Request.Path, playbook); !inside {
			return promotion.Grant{}, fmt.Errorf("is for what lies in %s, and %s does not", grant.Request.Path, playbook)
		}
	}
	return grant, nil
}

// spent tells whether a grant of that ID stands in the log already.
func spent(log, id string) (bool, error) {
	file, err := os.Open(log)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var entry record
		if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
			return false, fmt.Errorf("a line of %s cannot be read: %w", log, err)
		}
		if entry.Grant == id {
			return true, nil
		}
	}
	return false, lines.Err()
}

func appendRecord(file string, entry record) error {
	line, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("writing the override down: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("writing the override down: %w", err)
	}
	log, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing the override down: %w", err)
	}
	// Whoever made it: the command lines of runs are nobody else's business.
	err = log.Chmod(0o600)
	if err == nil {
		_, err = log.Write(append(line, '\n'))
	}
	if err := errors.Join(err, log.Sync(), log.Close()); err != nil {
		return fmt.Errorf("writing the override down: %w", err)
	}
	return nil
}

// token makes a token for one override. Only its hash and the time are kept.
func (p Process) token(_ context.Context, args []string) int {
	set := flags("token [flags]")
	state := set.String("state", "", "directory of the log and the tokens; the one of this user's runs if not given")
	if status, done := p.parse(set, args); done {
		return status
	}
	if *state == "" {
		usual, err := xdg.State(p.getenv)
		if err != nil {
			return p.failed(fmt.Errorf("keeping the token: %w", err))
		}
		*state = usual
	}
	secret := make([]byte, 16)
	if _, err := rand.Read(secret); err != nil {
		return p.failed(fmt.Errorf("making a token: %w", err))
	}
	text := hex.EncodeToString(secret)
	if err := os.MkdirAll(*state, 0o700); err != nil {
		return p.failed(fmt.Errorf("keeping the token: %w", err))
	}
	sum := sha256.Sum256([]byte(text))
	kept := hex.EncodeToString(sum[:]) + " " + time.Now().UTC().Format(time.RFC3339) + "\n"
	if err := os.WriteFile(filepath.Join(*state, "override-token"), []byte(kept), 0o600); err != nil {
		return p.failed(fmt.Errorf("keeping the token: %w", err))
	}
	fmt.Fprintln(p.Stdout, text)
	return OK
}

// spend uses a token up. It counts once, and not longer than expiry.
func spend(state, token string, expiry time.Duration, now time.Time) error {
	file := filepath.Join(state, "override-token")
	data, err := os.ReadFile(file)
	if err != nil {
		return errors.New("none has been made")
	}
	hash, made, _ := strings.Cut(strings.TrimSpace(string(data)), " ")
	since, err := time.Parse(time.RFC3339, made)
	sum := sha256.Sum256([]byte(token))
	switch {
	case err != nil:
		return errors.New("the one that was made cannot be read")
	case subtle.ConstantTimeCompare([]byte(hash), []byte(hex.EncodeToString(sum[:]))) != 1:
		return errors.New("this is not the one that was made last")
	case now.Sub(since) > expiry || now.Before(since.Add(-time.Minute)):
		return fmt.Errorf("it was made at %s and counts for %s", made, expiry)
	}
	if err := os.Remove(file); err != nil {
		return errors.New("it cannot be used up")
	}
	return nil
}
