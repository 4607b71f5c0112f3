// Receives webhooks of wxqr, and prints their events. README.md beside this file tells more.
//
//	WEBHOOK_SECRET=whsec_... go run receiver.go [PORT]
//
// It checks the signature with what comes with Go, by the rules of Standard Webhooks.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How old a request may be, or how far ahead its clock.
const tolerance = 5 * time.Minute

// The largest body that is read, in bytes. Those of the service are far smaller.
const maxBody = 1024 * 1024

// How long a request may take to arrive, and how long a connection may be silent.
const patience = 10 * time.Second

type message struct {
	Data struct {
		Events []json.RawMessage `json:"events"`
	} `json:"data"`
}

type receiver struct {
	secret []byte
	mutex  sync.Mutex
	// The id of the last request. A real receiver keeps it with the events.
	lastID string
}

// verify reports whether the request was signed with the secret, not long ago.
func (r *receiver) verify(header http.Header, body []byte) bool {
	id, timestamp := header.Get("webhook-id"), header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return false
	}
	if age := time.Since(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return false
	}
	mac := hmac.New(sha256.New, r.secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
	// During a change of the secret there are several signatures.
	for _, signature := range strings.Fields(header.Get("webhook-signature")) {
		version, text, _ := strings.Cut(signature, ",")
		given, err := base64.StdEncoding.DecodeString(text)
		if version == "v1" && err == nil && hmac.Equal(given, mac.Sum(nil)) {
			return true
		}
	}
	return false
}

// take takes the events of a request, unless it came before: a lost answer brings it again.
func (r *receiver) take(id string, events []json.RawMessage) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if id == r.lastID {
		return
	}
	for _, event := range events {
		fmt.Println(string(event))
	}
	r.lastID = id
}

func (r *receiver) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	// The body as it came: the signature covers its bytes.
	body, err := io.ReadAll(http.MaxBytesReader(writer, request.Body, maxBody))
	var got message
	switch {
	case err != nil:
		writer.WriteHeader(http.StatusBadRequest)
	case !r.verify(request.Header, body):
		writer.WriteHeader(http.StatusUnauthorized)
	case json.Unmarshal(body, &got) != nil:
		writer.WriteHeader(http.StatusBadRequest)
	default:
		r.take(request.Header.Get("webhook-id"), got.Data.Events)
		writer.WriteHeader(http.StatusNoContent)
	}
}

func main() {
	text := strings.TrimPrefix(os.Getenv("WEBHOOK_SECRET"), "whsec_")
	secret, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(secret) == 0 {
		log.Fatal("WEBHOOK_SECRET is not a secret")
	}
	port := "8000"
	if len(os.Args) > 1 {
		port = os.Args[1]
	}
	server := http.Server{
		Addr:        "127.0.0.1:" + port,
		Handler:     &receiver{secret: secret},
		ReadTimeout: patience,
	}
	log.Fatal(server.ListenAndServe())
}
