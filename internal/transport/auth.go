package transport

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sluice-engine/sluice/internal/vfs"
)

// TokenEnv is the environment variable that holds the token where no file does.
const TokenEnv = "SLUICE_TOKEN"

const (
	// minTokenBytes makes guessing hopeless: 16 random letters are more than 90 bits.
	minTokenBytes = 16
	maxTokenBytes = 4096
	authHeader    = "authorization"
	bearer        = "Bearer "
)

// LoadToken reads the cluster's token from a file, or, when file is "", from SLUICE_TOKEN. White
// space around it does not count. "" and no error: there is none. A file that everybody may read is
// warned of and taken: mounted secrets of containers are often like that.
func LoadToken(fsys vfs.FS, file string, log *slog.Logger) (string, error) {
	raw, from := []byte(os.Getenv(TokenEnv)), TokenEnv
	if file != "" {
		st, err := fsys.Stat(file)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		if st.Mode().IsRegular() && st.Mode().Perm()&0o004 != 0 {
			log.Warn("everybody on this machine can read the token", "file", file, "mode", st.Mode().Perm().String())
		}
		if raw, err = vfs.ReadFile(fsys, file, maxTokenBytes); err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		from = file
	}
	token := string(bytes.TrimSpace(raw))
	if token == "" && file == "" {
		return "", nil
	}
	return token, checkToken(token, from)
}

// checkToken refuses tokens that can be guessed, or that an HTTP header cannot carry.
func checkToken(token, from string) error {
	if len(token) < minTokenBytes {
		return fmt.Errorf("the token in %s has %d characters: want at least %d (openssl rand -hex 32 makes one)",
			from, len(token), minTokenBytes)
	}
	for _, c := range []byte(token) {
		if c <= ' ' || c > '~' {
			return fmt.Errorf("the token in %s holds a character that is not printable ASCII, or a space inside", from)
		}
	}
	return nil
}

// tokenCredentials send the token with every RPC. They work without TLS on purpose: TLS comes later,
// and until then the token keeps out who cannot read the network, as the documentation says.
type tokenCredentials string

func (t tokenCredentials) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{authHeader: bearer + string(t)}, nil
}

func (tokenCredentials) RequireTransportSecurity() bool { return false }

// guard asks every RPC for the token.
type guard struct{ want [sha256.Size]byte }

func newGuard(token string) *guard { return &guard{want: sha256.Sum256([]byte(bearer + token))} }

// check compares digests, so that neither the place of the first wrong byte nor the length of the
// token can be told from the time it takes.
func (g *guard) check(ctx context.Context) error {
	got := metadata.ValueFromIncomingContext(ctx, authHeader)
	if len(got) == 1 && strings.HasPrefix(got[0], bearer) {
		sum := sha256.Sum256([]byte(got[0]))
		if subtle.ConstantTimeCompare(sum[:], g.want[:]) == 1 {
			return nil
		}
		return status.Error(codes.Unauthenticated, "wrong token")
	}
	return status.Error(codes.Unauthenticated, "this server wants a token")
}

func (g *guard) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := g.check(ctx); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (g *guard) stream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := g.check(ss.Context()); err != nil {
		return err
	}
	return next(srv, ss)
}
