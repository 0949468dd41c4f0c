// SPDX-License-Identifier: GPL-3.0-or-later

// Command probe looks at a cluster from inside a pod. It is what the project's
// checks run, and handy by hand:
//
//	probe serve                      HTTP on :8080, answers "POD NODE"
//	probe get URL                    prints the body of an HTTP answer
//	probe lookup NAME                prints the addresses of a name
//	probe write FILE TEXT            writes a file and syncs it
//	probe read FILE                  prints a file
//	probe check NAME URL DIRECTORY   resolves, fetches, writes and reads; silent if all work
//	probe postgres URL QUERY         prints the first column of the first row
//
// Each command but serve ends within 30 s and says on stderr what went wrong.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/lib/pq"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	switch {
	case len(args) == 1 && args[0] == "serve":
		return serve()
	case len(args) == 2 && args[0] == "get":
		return get(ctx, args[1], out)
	case len(args) == 2 && args[0] == "lookup":
		addresses, err := net.DefaultResolver.LookupHost(ctx, args[1])
		fmt.Fprintln(out, strings.Join(addresses, " "))
		return err
	case len(args) == 3 && args[0] == "write":
		return write(args[1], args[2])
	case len(args) == 2 && args[0] == "read":
		data, err := os.ReadFile(args[1])
		fmt.Fprintf(out, "%s", data)
		return err
	case len(args) == 4 && args[0] == "check":
		return check(ctx, args[1], args[2], args[3])
	case len(args) == 3 && args[0] == "postgres":
		return postgres(ctx, args[1], args[2], out)
	}
	return errors.New("serve | get URL | lookup NAME | write FILE TEXT | read FILE | check NAME URL DIRECTORY | postgres URL QUERY")
}

func serve() error {
	server := &http.Server{Addr: ":8080", ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, os.Getenv("POD_NAME"), os.Getenv("NODE_NAME"))
	})}
	return server.ListenAndServe()
}

func get(ctx context.Context, url string, out io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(out, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}

func check(ctx context.Context, name, url, directory string) error {
	if _, err := net.DefaultResolver.LookupHost(ctx, name); err != nil {
		return err
	}
	if err := get(ctx, url, io.Discard); err != nil {
		return err
	}
	path, now := filepath.Join(directory, "check"), time.Now().String()
	if err := write(path, now); err != nil {
		return err
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != now {
		return fmt.Errorf("%s: what was written is not what is read: %w", path, err)
	}
	return nil
}

func write(path, text string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := file.WriteString(text); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return file.Close()
}

func postgres(ctx context.Context, url, query string, out io.Writer) error {
	db, err := sql.Open("postgres", url)
	if err != nil {
		return err
	}
	defer db.Close()
	var answer string
	if err := db.QueryRowContext(ctx, query).Scan(&answer); err != nil {
		return err
	}
	fmt.Fprintln(out, answer)
	return nil
}
