package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// service is what is called: GET greets, POST sends back what it got.
func service() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Greeter", "rpc-http")
		_, _ = fmt.Fprintf(w, "hello, %s", r.FormValue("name")) // an error is the caller's
	})
	mux.HandleFunc("POST /hello", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		w.Header().Set("X-Token", r.Header.Get("X-Token"))
		w.WriteHeader(http.StatusCreated)
		_, _ = io.Copy(w, http.MaxBytesReader(w, r.Body, 1<<20)) // an error is the caller's
	})
	return mux
}

// serve runs the service until ctx ends; requests that run may finish.
func serve(ctx context.Context, listen string, out *log.Logger) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	out.Printf("the service listens on http://%s", l.Addr())
	server := &http.Server{Handler: service(), ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = server.Shutdown(stop)
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
