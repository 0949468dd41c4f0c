// SPDX-License-Identifier: GPL-3.0-or-later

package live

import (
	"net/http"
	"net/url"
)

// Through is a client of the API server at base that asks through another's
// HTTP client, which decides where it leads and what it lets through.
func Through(client *http.Client, base *url.URL) *Client { return &Client{http: client, base: base} }
