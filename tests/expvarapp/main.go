// Command expvarapp publishes real expvar variables (cmdline, memstats and
// about twenty of its own) at /debug/vars on one or more ports, and remembers
// what it answered, so that a test can compare a stored document with it.
//
// For each port it prints one line "listening HOST:PORT", in order. Beside
// /debug/vars each port answers, about its own polls only:
//
//	/_app/stats       {"polls":N,"refused":N}: how many polls were answered in full, or refused
//	/_app/refuse      from now on polls are refused (503), so that the count of polls is final
//	/_app/body?seq=N  the bytes that were answered to the poll with poll_seq N
package main

import (
	"bytes"
	"encoding/json"
	"expvar"
	"flag"
	"fmt"
	"log"
	"math"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"sync"
)

const (
	bodiesKept     = 4096 // per port
	pollsPerForced = 7    // every so many polls a collection, so that memstats has new pauses
)

// rendering lets one poll at a time through the expvar handler: poll_seq is a
// variable of the whole process, but each port counts its own polls.
var rendering struct {
	sync.Mutex
	seq int64
}

func main() {
	host := flag.String("host", "127.0.0.1", "address to listen on")
	port := flag.Int("port", 0, "first port; with 0 each port is a free one")
	count := flag.Int("n", 1, "number of ports, consecutive unless -port is 0")
	flag.Parse()
	publish()
	for i := 0; i < *count; i++ {
		chosen := *port
		if chosen != 0 {
			chosen += i
		}
		listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", *host, chosen))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("listening", listener.Addr())
		go func() { log.Fatal(http.Serve(listener, newEndpoint())) }()
	}
	select {}
}

// publish adds one variable of each kind that expvar can show. All of them fit
// the types that a server guesses by itself: integers of 64 signed bits, floats
// no larger than 32 bits hold, no name that is a value here and an object there.
func publish() {
	expvar.Publish("poll_seq", expvar.Func(func() any { return rendering.seq }))
	expvar.Publish("goroutines", expvar.Func(func() any { return runtime.NumGoroutine() }))
	expvar.NewInt("requests_total").Set(123456789)
	expvar.NewInt("negative_int").Set(-42)
	expvar.NewInt("max_int64").Set(math.MaxInt64)
	expvar.NewFloat("ratio").Set(0.1234567890123)
	expvar.NewFloat("tiny").Set(5e-324)
	expvar.NewFloat("load_average").Set(1.75)
	expvar.NewString("version").Set("1.2.3-rc1+build.77")
	expvar.NewString("escaped").Set("quote \" back\\slash\nnew line\ttab \u0001 <html> \u2028 end")
	expvar.NewString("unicode").Set("Grüße, 世界 🚀")
	expvar.NewString("empty").Set("")
	publishValue("null_value", nil)
	publishValue("flag_on", true)
	publishValue("flag_off", false)
	publishValue("int_array", []int{1, 2, 3, 4, 5})
	publishValue("string_array", []string{"a", "b", "c"})
	publishValue("empty_array", []int{})
	publishValue("object_array", []map[string]any{{"name": "a", "n": 1}, {"name": "b", "n": 2}})
	publishMaps()
}

func publishValue(name string, value any) {
	expvar.Publish(name, expvar.Func(func() any { return value }))
}

func publishMaps() {
	status := expvar.NewMap("http_status")
	for _, code := range []string{"200", "301", "404", "500"} {
		status.Add(code, 1000)
	}
	level1, level2 := new(expvar.Map).Init(), new(expvar.Map).Init()
	level2.AddFloat("leaf", 2.5)
	level2.Add("count", 7)
	level1.Set("level2", level2)
	level1.Add("dotted.key", 3)
	expvar.NewMap("nested").Set("level1", level1)
	expvar.NewMap("empty_map")
	hundred := expvar.NewMap("hundred")
	for i := 0; i < 100; i++ {
		hundred.Add(fmt.Sprintf("key_%03d", i), int64(i)*1001)
	}
}

// endpoint is one port: its own count of polls and its own memory of bodies.
type endpoint struct {
	mux      *http.ServeMux
	mutex    sync.Mutex
	refusing bool
	refused  int64
	polls    int64
	bodies   map[int64][]byte
}

func newEndpoint() *endpoint {
	e := &endpoint{mux: http.NewServeMux(), bodies: make(map[int64][]byte)}
	e.mux.HandleFunc("/debug/vars", e.vars)
	e.mux.HandleFunc("/_app/stats", e.stats)
	e.mux.HandleFunc("/_app/refuse", e.refuse)
	e.mux.HandleFunc("/_app/body", e.body)
	return e
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.mux.ServeHTTP(w, r) }

// vars answers a poll as the standard handler does: in chunks, without a
// length. The lock is held until the body has left, so a poll that stats
// counts is one that was answered.
func (e *endpoint) vars(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if e.refusing {
		e.refused++
		http.Error(w, "no more polls, please", http.StatusServiceUnavailable)
		return
	}
	e.polls++
	if e.polls%pollsPerForced == 0 {
		runtime.GC()
	}
	page := render(e.polls, r)
	e.bodies[e.polls] = page.Bytes()
	delete(e.bodies, e.polls-bodiesKept)
	w.Header().Set("Content-Type", page.header.Get("Content-Type"))
	w.Write(page.Bytes())
	if flusher, ok := w.(http.Flusher); ok {
		flusher.Flush()
	}
}

func (e *endpoint) stats(w http.ResponseWriter, _ *http.Request) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	json.NewEncoder(w).Encode(map[string]int64{"polls": e.polls, "refused": e.refused})
}

func (e *endpoint) refuse(http.ResponseWriter, *http.Request) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.refusing = true
}

func (e *endpoint) body(w http.ResponseWriter, r *http.Request) {
	seq, err := strconv.ParseInt(r.FormValue("seq"), 10, 64)
	e.mutex.Lock()
	defer e.mutex.Unlock()
	body, known := e.bodies[seq]
	if err != nil || !known {
		http.Error(w, "no body of that seq", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Write(body)
}

func render(seq int64, r *http.Request) *page {
	rendering.Lock()
	defer rendering.Unlock()
	rendering.seq = seq
	rendered := &page{header: make(http.Header)}
	expvar.Handler().ServeHTTP(rendered, r)
	return rendered
}

// page is a response that stays in memory.
type page struct {
	bytes.Buffer
	header http.Header
}

func (p *page) Header() http.Header { return p.header }
func (p *page) WriteHeader(int)     {}
