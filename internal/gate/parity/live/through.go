// SPDX-License-Identifier: GPL-3.0-or-later

package live

import (
	"net/http"
	"net/url"
)

// Through returns a client of the API server at base that uses another HTTP
// client, whose transport restricts addresses and requests.
func Through(client *http.Client, base *url.URL) *Client { return &Client{http: client, base: base} }
