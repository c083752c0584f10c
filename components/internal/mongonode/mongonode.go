package mongonode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
	"go.mongodb.org/mongo-driver/mongo/readconcern"
	"go.mongodb.org/mongo-driver/mongo/readpref"
	"go.mongodb.org/mongo-driver/mongo/writeconcern"
	"go.mongodb.org/mongo-driver/x/mongo/driver/topology"

	"github.com/ottavo-runtime/ottavo/components"
	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Metadata are the settings.
type Metadata struct {
	// Host is host:port, or several with commas in between; Server is the name of
	// a DNS entry that lists them (mongodb+srv).
	Host     string `json:"mongoHost"`
	Server   string `json:"server"`
	Username string `json:"username"`
	// Password goes with Username; PlainPassword is another name for it.
	Password      string `json:"mongoPassword"`
	PlainPassword string `json:"password"`
	// DatabaseName and CollectionName say where. The other two are how Layotto's
	// sample spells them.
	DatabaseName       string `json:"databaseName"`
	CollectionName     string `json:"collectionName"`
	SampleDatabaseName string `json:"databaseName "`
	SampleCollection   string `json:"collecttionName"`
	// WriteConcern is majority (the default), a number of members, or the name of
	// a set of tags. ReadConcern is majority (the default), local, linearizable or
	// available.
	WriteConcern string `json:"writeConcern"`
	ReadConcern  string `json:"readConcern" enum:"majority|local|linearizable|available|snapshot|"`
	// OperationTimeout is how long a call may take; a bare number counts seconds.
	OperationTimeout time.Duration `json:"operationTimeout" unit:"s" default:"5s"`
	// Params are further options of the connection, as they stand in its URL: "?tls=true".
	Params string `json:"params"`
}

const (
	defaultDatabase   = "layottoStore"
	defaultCollection = "layottoCollection"
)

// Client is a client of one collection. It is safe for concurrent use.
type Client struct {
	*mongo.Collection

	where  string
	limit  time.Duration
	closed context.Context
	end    context.CancelFunc
}

// ErrClosed is returned after Close.
var ErrClosed = errors.New("the client of MongoDB is closed")

// Open connects. It fails, within OperationTimeout or when ctx ends, if MongoDB
// does not answer. path is where m stands in the configuration.
func Open(ctx context.Context, m Metadata, path string) (*Client, error) {
	if m.OperationTimeout <= 0 {
		m.OperationTimeout = 5 * time.Second
	}
	opts, where, err := m.options(path)
	if err != nil {
		return nil, err
	}
	client, err := mongo.Connect(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("mongo %s: %w", where, m.redact(err))
	}
	c := &Client{where: "mongo " + where, limit: m.OperationTimeout}
	c.closed, c.end = context.WithCancel(context.WithoutCancel(ctx))
	c.Collection = client.Database(cmp.Or(m.DatabaseName, m.SampleDatabaseName, defaultDatabase)).
		Collection(cmp.Or(m.CollectionName, m.SampleCollection, defaultCollection))
	if err := c.Check(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot connect: %w", err), c.Close()) //nolint:contextcheck // closing has a time of its own
	}
	return c, nil
}

func (m Metadata) options(path string) (opts *options.ClientOptions, where string, err error) {
	var problems decode.Problems
	wrong := func(key, message, remedy string) {
		problems = append(problems, decode.Problem{Path: decode.Join(path, key), Message: message, Remedy: remedy})
	}
	uri := "mongodb://" + m.Host
	switch where = cmp.Or(m.Host, m.Server); {
	case where == "":
		wrong("mongoHost", "is missing", `for example "localhost:27017"`)
	case m.Host != "" && m.Server != "":
		wrong("server", "is given beside mongoHost", "leave one of them out")
	case m.Server != "":
		uri = "mongodb+srv://" + m.Server
	}
	if params := strings.TrimPrefix(m.Params, "?"); params != "" {
		if _, err := url.ParseQuery(params); err != nil {
			wrong("params", "is not a list of options", `for example "?tls=true&replicaSet=rs0"`)
		}
		uri += "/?" + params
	}
	write := writeconcern.Majority()
	switch n, err := strconv.Atoi(m.WriteConcern); {
	case m.WriteConcern == "" || m.WriteConcern == "majority":
	case err != nil:
		write = writeconcern.Custom(m.WriteConcern)
	case n < 1:
		wrong("writeConcern", "a write that nobody confirms gives no lock and no id", `"majority", or a number from 1 on`)
	default:
		write = &writeconcern.WriteConcern{W: n}
	}
	if err := problems.Err(); err != nil {
		return nil, "", err
	}
	opts = options.Client().ApplyURI(uri)
	if err := opts.Validate(); err != nil {
		return nil, "", decode.Problems{{Path: decode.Join(path, "mongoHost"), Message: err.Error(), Remedy: "check mongoHost, server and params"}}
	}
	read := &readconcern.ReadConcern{Level: cmp.Or(m.ReadConcern, "majority")}
	opts.SetWriteConcern(write).SetReadConcern(read).SetReadPreference(readpref.Primary()).SetRetryWrites(false).
		SetServerSelectionTimeout(m.OperationTimeout).SetConnectTimeout(m.OperationTimeout)
	if m.Username != "" {
		credential := options.Credential{Username: m.Username, Password: cmp.Or(m.Password, m.PlainPassword), PasswordSet: true}
		if opts.Auth != nil { // what params say of it
			credential.AuthSource, credential.AuthMechanism = opts.Auth.AuthSource, opts.Auth.AuthMechanism
		}
		opts.SetAuth(credential)
	}
	return opts, where, nil
}

// redact takes the password out of an error, should it be in there.
func (m Metadata) redact(err error) error {
	for _, p := range []string{m.Password, m.PlainPassword} {
		if p != "" && strings.Contains(err.Error(), p) {
			return errors.New(strings.ReplaceAll(err.Error(), p, "***"))
		}
	}
	return err
}

// Call makes a call, which has the time that ctx has, or OperationTimeout. The
// error is ctx's when it has ended, ErrClosed after Close, and else names MongoDB;
// mongo.ErrNoDocuments, and that a key exists, are returned as they are.
func (c *Client) Call(ctx context.Context, call func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.closed.Err() != nil {
		return ErrClosed
	}
	limited, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	err := call(limited)
	switch {
	case err == nil || errors.Is(err, mongo.ErrNoDocuments) || mongo.IsDuplicateKeyError(err):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case c.closed.Err() != nil:
		return ErrClosed
	case away(err):
		return components.Away(fmt.Errorf("%s: %w", c.where, err))
	case limited.Err() != nil, mongo.IsTimeout(err):
		return components.Late(fmt.Errorf("%s: no answer within %s (operationTimeout): %w", c.where, c.limit, err))
	}
	return fmt.Errorf("%s: %w", c.where, err)
}

// away tells that there was no server to ask, or none any more before it had answered.
func away(err error) bool {
	if _, ok := errors.AsType[topology.ServerSelectionError](err); ok {
		return true
	}
	return mongo.IsNetworkError(err) && !mongo.IsTimeout(err)
}

// Now returns what the server's clock shows, or a little less.
func (c *Client) Now(ctx context.Context) (time.Time, error) {
	var hello struct {
		LocalTime time.Time `bson:"localTime"`
	}
	// The old name of the command is known to every version.
	err := c.Database().RunCommand(ctx, bson.D{{Key: "isMaster", Value: 1}}).Decode(&hello)
	if err == nil && hello.LocalTime.IsZero() {
		err = errors.New("the server does not tell its time")
	}
	return hello.LocalTime, err
}

// Check asks whether the server may be written to.
func (c *Client) Check(ctx context.Context) error {
	return c.Call(ctx, func(ctx context.Context) error { return c.Database().Client().Ping(ctx, readpref.Primary()) })
}

// Close closes all connections; calls under way fail. It is safe twice.
func (c *Client) Close() error {
	c.end()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.closed), c.limit)
	defer cancel()
	if err := c.Database().Client().Disconnect(ctx); err != nil && !errors.Is(err, mongo.ErrClientDisconnected) {
		return fmt.Errorf("%s: %w", c.where, err)
	}
	return nil
}
