// Takes Tocsin's webhooks and checks who sent them. Start it with the secret that Tocsin showed once:
//
//	TOCSIN_WEBHOOK_SECRET=whsec_… PORT=9000 go run receiver.go
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

const tolerance = 5 * time.Minute
const mostBytes = 1_000_000

// Whether the body, as it came, was signed with our secret within the last five minutes.
func verified(key []byte, id, at, signatures string, body []byte) bool {
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > tolerance {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	right := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	// Several, with spaces between, while the secret is being rotated. Compared in a time that tells nothing.
	for _, one := range strings.Split(signatures, " ") {
		if hmac.Equal(right, []byte(one)) {
			return true
		}
	}
	return false
}

func main() {
	secret := strings.TrimPrefix(os.Getenv("TOCSIN_WEBHOOK_SECRET"), "whsec_")
	key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(secret, "="))
	if err != nil || len(key) < 24 {
		log.Fatal("TOCSIN_WEBHOOK_SECRET is not whsec_ and the base64 of 24 bytes or more")
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "9000"
	}
	receive := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBytes))
		id := r.Header.Get("webhook-id")
		if err != nil || !verified(key, id, r.Header.Get("webhook-timestamp"), r.Header.Get("webhook-signature"), body) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusNoContent) // work that takes time comes after the answer
		// The id is the same in every attempt: what was done for it need not be done again.
		log.Printf("verified %q %d bytes", id, len(body))
	}
	server := http.Server{Addr: "127.0.0.1:" + port, Handler: http.HandlerFunc(receive), ReadTimeout: 30 * time.Second}
	log.Fatal(server.ListenAndServe())
}
