// Signs a link to wxqr. README.md beside this file has the rules.
//
//	LINK_KEY=... go run sign.go scene_id=123 expire_seconds=3600 exp=1924963200
//
// prints what stands behind the question mark of the link.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// What a signature covers, in the order in which it is signed.
var covered = []string{"exp", "expire_seconds", "permanent", "scene_id", "scene_str"}

// param is one name and its value.
type param struct{ name, value string }

// escape writes everything but A-Za-z0-9-._~ as %HH. QueryEscape does, but for the space.
func escape(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

func encode(params []param) string {
	var pairs []string
	for _, p := range params {
		pairs = append(pairs, escape(p.name)+"="+escape(p.value))
	}
	return strings.Join(pairs, "&")
}

// sign returns the query string with its signature.
func sign(key string, params []param) string {
	var signed []param
	for _, name := range covered {
		for _, p := range params {
			if p.name == name {
				signed = append(signed, p)
			}
		}
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte("/qrcode\n" + encode(signed)))
	sig := base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	return encode(params) + "&sig=" + sig
}

func main() {
	key := os.Getenv("LINK_KEY")
	if key == "" {
		fmt.Fprintln(os.Stderr, "LINK_KEY is not set")
		os.Exit(1)
	}
	var given []param
	for _, arg := range os.Args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		given = append(given, param{name, value})
	}
	fmt.Println(sign(key, given))
}
