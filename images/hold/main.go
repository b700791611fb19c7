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
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	pause    = time.Second      // between two questions, and after one that got no answer
	patience = 60 * time.Second // for an answer: the service holds one back for a third of that
	most     = 4 << 10          // bytes of an answer that are read
	callers  = 4                // at a time: the kubelet is one, and nobody else has a reason to ask
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
		var answer struct{ Release bool }
		err = json.NewDecoder(io.LimitReader(response.Body, most)).Decode(&answer)
		return answer.Release, err
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
	server := http.Server{Addr: ":" + port, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-told
		service.Hold(context.Background())
		server.Shutdown(context.Background()) // who was asking hears the answer
		close(ended)
	}()

	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		say(err.Error())
		os.Exit(1)
	}
	<-ended
}
