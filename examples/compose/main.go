// A program to look at: importing expvar serves its variables at /debug/vars.
package main

import (
	"expvar"
	"log"
	"net/http"
	"time"
)

func main() {
	ticks := expvar.NewInt("ticks")
	go func() {
		for range time.Tick(100 * time.Millisecond) {
			ticks.Add(1)
		}
	}()
	log.Fatal(http.ListenAndServe(":1234", nil))
}
