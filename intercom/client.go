package intercom

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Version is the version of Intercom's API that every request asks for. Without
// the header an app's own setting would decide, and shapes would change under us.
const Version = "2.16"

// DefaultBaseURL is the API of workspaces hosted in the United States.
const DefaultBaseURL = "https://api.intercom.io"

const userAgent = "dunlin (+https://github.com/dunlin/dunlin)"

// Config is what a client needs to know.
type Config struct {
	// BaseURL is where the API lives: https://api.intercom.io, or
	// https://api.eu.intercom.io or https://api.au.intercom.io for workspaces
	// hosted there. Empty means DefaultBaseURL. Plain http is accepted for this
	// machine only, since the token travels with every request.
	BaseURL string

	// Token is the app's access token. Required.
	Token string

	// HTTP makes the requests. Nil means a client of our own, HTTP/1.1 only: over
	// HTTP/2 Go may repeat a POST by itself. Redirects are never followed.
	HTTP *http.Client

	// Now is the business clock, used to date links. Nil means time.Now.
	Now func() time.Time

	// Logger gets a line for each repeated call and each pause that Intercom
	// imposes. Nil means silence; errors are returned, not logged.
	Logger *slog.Logger

	// Pool is where processes that use the same token share Intercom's limits.
	// Nil means that this client is the only one.
	Pool *pgxpool.Pool

	// ReadTimeout and WriteTimeout bound one attempt, from dialling to the last
	// byte of the answer. Zero means 30 seconds and 60 seconds.
	ReadTimeout, WriteTimeout time.Duration
}

// A Client talks to one Intercom workspace. It is safe for concurrent use.
type Client struct {
	base         *url.URL
	token        string
	http         *http.Client
	now          func() time.Time
	logger       *slog.Logger
	pacer        *pacer
	readTimeout  time.Duration
	writeTimeout time.Duration
	backoff      func(attempt int) time.Duration
}

// New returns a client, or everything that is wrong with the configuration.
// It makes no request: [Client.Me] proves a token.
func New(cfg Config) (*Client, error) {
	base, err := baseURL(cfg.BaseURL)
	errs := []error{err, checkToken(cfg.Token)}
	if cfg.ReadTimeout < 0 {
		errs = append(errs, fmt.Errorf("the read timeout %s is negative; use zero for 30 seconds", cfg.ReadTimeout))
	}
	if cfg.WriteTimeout < 0 {
		errs = append(errs, fmt.Errorf("the write timeout %s is negative; use zero for 60 seconds", cfg.WriteTimeout))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}

	c := &Client{
		base:         base,
		token:        cfg.Token,
		http:         httpClient(cfg.HTTP),
		now:          cfg.Now,
		logger:       cfg.Logger,
		pacer:        newPacer(new(private)),
		readTimeout:  cfg.ReadTimeout,
		writeTimeout: cfg.WriteTimeout,
		backoff:      backoff,
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Pool != nil {
		c.pacer = newPacer(shared{cfg.Pool, appOf(base, cfg.Token)})
	}
	if c.readTimeout == 0 {
		c.readTimeout = 30 * time.Second
	}
	if c.writeTimeout == 0 {
		c.writeTimeout = 60 * time.Second
	}
	return c, nil
}

func baseURL(s string) (*url.URL, error) {
	if s == "" {
		s = DefaultBaseURL
	}
	const repair = "use https://api.intercom.io, https://api.eu.intercom.io or https://api.au.intercom.io"
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, errors.New("INTERCOM_API_BASE is not a web address; " + repair)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("INTERCOM_API_BASE holds more than scheme, host and path; " + repair)
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return nil, fmt.Errorf("INTERCOM_API_BASE %q would send the access token unencrypted; %s", u.Redacted(), repair)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func checkToken(token string) error {
	if token == "" {
		return errors.New("INTERCOM_ACCESS_TOKEN is not set; copy the access token from the app's Authentication page in Intercom's Developer Hub, or set DRY_RUN=true to send nothing")
	}
	for _, r := range token {
		if r <= ' ' || r > '~' {
			return errors.New("INTERCOM_ACCESS_TOKEN holds a space, a line break or a character that no token has; copy it again")
		}
	}
	return nil
}

// httpClient copies given so that redirects can be refused without changing the
// caller's: a redirected POST would be made twice, or lose its body.
func httpClient(given *http.Client) *http.Client {
	c := new(http.Client)
	if given != nil {
		*c = *given
	} else {
		c.Transport = transport()
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// transport gives up idle connections well before a server would: a POST on a
// connection that is just being closed has an unknown outcome.
func transport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     20 * time.Second,
		MaxIdleConns:        100,
		MaxIdleConnsPerHost: 64,
		Protocols:           protocols,
	}
}
