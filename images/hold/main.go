// atoll-hold runs beside a user's server and keeps its pod there until the server is saved.
//
// The kubelet calls GET /hold before it ends the server's container, and waits for the answer. The
// platform's service knows whether there is something to save; it is asked again and again, for as
// long as the kubelet waits. The container is not touched meanwhile, so its files can be saved.
//
// The kubelet ends all containers of a pod at once, this one too. It stays for as long as the server
// does: a pod goes, and with it what a container that ended has written, when the last one has ended.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

const (
	pause    = time.Second      // between two questions, and after one that got no answer
	patience = 60 * time.Second // for an answer: the service holds one back for a third of that
	answer   = 4 << 10          // bytes of an answer that are read
	farewell = 5 * time.Second  // for the last answers to be sent
	callers  = 4                // at a time: the kubelet is one, and nobody else has a reason to ask
	most     = 16               // connections at a time
)

// Service is what knows whether the server may end.
type Service struct {
	url, token string
	client     *http.Client
}

// NewService never sends its token elsewhere: not to a network proxy, not where an answer points to.
func NewService(url, token string) *Service {
	return &Service{url, token, &http.Client{
		Timeout:       patience,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Released tells whether the server may end now. A service that does not know the server, or not
// the token any more, has nothing to save of it.
func (s *Service) Released(ctx context.Context) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return false, err
	}
	request.Header.Set("Authorization", "token "+s.token)
	response, err := s.client.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		var said struct{ Release bool }
		err = json.NewDecoder(io.LimitReader(response.Body, answer)).Decode(&said)
		return said.Release, err
	case http.StatusUnauthorized, http.StatusNotFound:
		return true, nil
	default:
		return false, errors.New("the service answered " + response.Status)
	}
}

// Hold returns when the server may end, or when nobody waits for that any more.
func (s *Service) Hold(ctx context.Context) {
	for said := ""; ; {
		next := time.After(pause)
		released, err := s.Released(ctx)
		if released || ctx.Err() != nil {
			return
		}
		if err != nil && err.Error() != said { // an outage is one line, not thousands
			said = err.Error()
			say("still holding: " + said)
		}
		select {
		case <-next:
		case <-ctx.Done():
			return
		}
	}
}

// Few is a listener with so many connections at a time as it has places. Whoever is in the pod reaches
// this program; it may not be killed for the memory that its connections take.
type Few struct {
	net.Listener
	places chan struct{}
}

// Accept waits for a place.
func (f *Few) Accept() (net.Conn, error) {
	f.places <- struct{}{}
	connection, err := f.Listener.Accept()
	if err != nil {
		<-f.places
		return nil, err
	}
	return &placed{Conn: connection, leave: func() { <-f.places }}, nil
}

type placed struct {
	net.Conn
	leave func()
	once  sync.Once
}

func (p *placed) Close() error {
	defer p.once.Do(p.leave)
	return p.Conn.Close()
}

// Bodiless closes the connection of a request that announces a body: it could wait for it for ever.
func Bodiless(next http.Handler) http.Handler {
	return http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		if request.ContentLength == 0 {
			next.ServeHTTP(response, request)
		} else if connection, _, err := response.(http.Hijacker).Hijack(); err == nil {
			connection.Close()
		}
	})
}

func say(line string) { fmt.Fprintln(os.Stderr, "atoll-hold: "+line) }

func main() {
	url, token := os.Getenv("ATOLL_HOLD_URL"), os.Getenv("ATOLL_HOLD_TOKEN")
	port := os.Getenv("ATOLL_HOLD_PORT")
	if url == "" || token == "" || port == "" {
		say("ATOLL_HOLD_URL, ATOLL_HOLD_TOKEN and ATOLL_HOLD_PORT must be set")
		os.Exit(2)
	}
	service := NewService(url, token)
	places := make(chan struct{}, callers)
	handler := http.NewServeMux()
	handler.HandleFunc("/hold", func(response http.ResponseWriter, request *http.Request) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
		default: // else whoever is in the pod could have its memory used up, and this program killed
			http.Error(response, "this is asked already", http.StatusTooManyRequests)
			return
		}
		say("asked to end")
		service.Hold(request.Context())
		say("let go")
	})

	// As the first process of its container it would ignore the signal.
	told, ended := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
	server := http.Server{Handler: Bodiless(handler), ReadHeaderTimeout: 10 * time.Second}
	server.SetKeepAlivesEnabled(false)
	go func() {
		<-told
		service.Hold(context.Background())
		ctx, cancel := context.WithTimeout(context.Background(), farewell)
		defer cancel()
		server.Shutdown(ctx) // who was asking hears the answer
		close(ended)
	}()

	listener, err := net.Listen("tcp", ":"+port)
	if err == nil {
		err = server.Serve(&Few{listener, make(chan struct{}, most)})
	}
	if !errors.Is(err, http.ErrServerClosed) {
		say(err.Error())
		os.Exit(1)
	}
	<-ended
}
