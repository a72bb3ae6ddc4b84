package transport

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"github.com/sluice-engine/sluice/model"
	jobsv1 "github.com/sluice-engine/sluice/proto/gen/sluice/jobs/v1"
	"github.com/sluice-engine/sluice/proto/wire"
)

// JobsBackend is what the coordinator's shell does with jobs. Methods are called concurrently.
// Errors: a *model.Failure or a *model.SpecError keeps its type on the way to the caller, one that
// wraps ErrNoJob says that the job is unknown, anything else is our mistake.
type JobsBackend interface {
	// Submit returns once the job is durable. The spec is as the caller sent it: the backend fills in
	// defaults and validates.
	Submit(ctx context.Context, spec model.JobSpec) (model.JobID, error)
	Job(ctx context.Context, id model.JobID) (model.JobStatus, error)
	// Jobs returns all jobs, newest first.
	Jobs(ctx context.Context) ([]model.JobStatus, error)
	// Watch calls send at once and whenever the job changed, and returns nil right after it sent a
	// terminal state. send blocks while the caller is slow; states in between may be left out. An error
	// of send is returned as it is.
	Watch(ctx context.Context, id model.JobID, send func(model.JobStatus) error) error
	Cancel(ctx context.Context, id model.JobID, reason string) error
	Executors(ctx context.Context) ([]model.ExecutorStatus, error)
}

type jobsServer struct {
	jobsv1.UnimplementedJobServiceServer
	backend JobsBackend
}

// RegisterJobs makes a server serve the jobs API.
func RegisterJobs(r grpc.ServiceRegistrar, backend JobsBackend) {
	jobsv1.RegisterJobServiceServer(r, &jobsServer{backend: backend})
}

func (s *jobsServer) Submit(ctx context.Context, r *jobsv1.SubmitRequest) (*jobsv1.SubmitResponse, error) {
	id, err := s.backend.Submit(ctx, wire.FromJobSpec(r.GetSpec()))
	if err != nil {
		return nil, toStatus(err)
	}
	return &jobsv1.SubmitResponse{Job: string(id)}, nil
}

func (s *jobsServer) Get(ctx context.Context, r *jobsv1.GetRequest) (*jobsv1.GetResponse, error) {
	st, err := s.backend.Job(ctx, model.JobID(r.GetJob()))
	if err != nil {
		return nil, toStatus(err)
	}
	return &jobsv1.GetResponse{Status: wire.JobStatus(st)}, nil
}

func (s *jobsServer) List(ctx context.Context, _ *jobsv1.ListRequest) (*jobsv1.ListResponse, error) {
	jobs, err := s.backend.Jobs(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	return &jobsv1.ListResponse{Jobs: wire.Slice(jobs, wire.JobStatus)}, nil
}

func (s *jobsServer) Watch(r *jobsv1.WatchRequest, stream grpc.ServerStreamingServer[jobsv1.WatchResponse]) error {
	return toStatus(s.backend.Watch(stream.Context(), model.JobID(r.GetJob()), func(st model.JobStatus) error {
		return stream.Send(&jobsv1.WatchResponse{Status: wire.JobStatus(st)})
	}))
}

func (s *jobsServer) Cancel(ctx context.Context, r *jobsv1.CancelRequest) (*jobsv1.CancelResponse, error) {
	if err := s.backend.Cancel(ctx, model.JobID(r.GetJob()), r.GetReason()); err != nil {
		return nil, toStatus(err)
	}
	return &jobsv1.CancelResponse{}, nil
}

func (s *jobsServer) ListExecutors(ctx context.Context, _ *jobsv1.ListExecutorsRequest) (*jobsv1.ListExecutorsResponse, error) {
	ex, err := s.backend.Executors(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	return &jobsv1.ListExecutorsResponse{Executors: wire.Slice(ex, wire.ExecutorStatus)}, nil
}

// JobsClient is the jobs API in the model's words. A coordinator's failure comes back as the
// *model.Failure that it was; ErrNoJob, ErrUnavailable and ErrUnauthenticated are found with errors.Is.
// It may be used concurrently and does not own its connection.
type JobsClient struct{ client jobsv1.JobServiceClient }

// NewJobsClient makes a client over a connection (see Dial).
func NewJobsClient(conn grpc.ClientConnInterface) *JobsClient {
	return &JobsClient{client: jobsv1.NewJobServiceClient(conn)}
}

// Submit hands in a job and returns its id once it is durable.
func (c *JobsClient) Submit(ctx context.Context, spec model.JobSpec) (model.JobID, error) {
	r, err := c.client.Submit(ctx, &jobsv1.SubmitRequest{Spec: wire.JobSpec(spec)})
	return model.JobID(r.GetJob()), fromStatus(err)
}

// Get returns one job's state.
func (c *JobsClient) Get(ctx context.Context, id model.JobID) (model.JobStatus, error) {
	r, err := c.client.Get(ctx, &jobsv1.GetRequest{Job: string(id)})
	return wire.FromJobStatus(r.GetStatus()), fromStatus(err)
}

// List returns all jobs, newest first.
func (c *JobsClient) List(ctx context.Context) ([]model.JobStatus, error) {
	r, err := c.client.List(ctx, &jobsv1.ListRequest{})
	return wire.Slice(r.GetJobs(), wire.FromJobStatus), fromStatus(err)
}

// Cancel ends a job; it does nothing to one that ended.
func (c *JobsClient) Cancel(ctx context.Context, id model.JobID, reason string) error {
	_, err := c.client.Cancel(ctx, &jobsv1.CancelRequest{Job: string(id), Reason: reason})
	return fromStatus(err)
}

// Executors returns all executors that the coordinator knows.
func (c *JobsClient) Executors(ctx context.Context) ([]model.ExecutorStatus, error) {
	r, err := c.client.ListExecutors(ctx, &jobsv1.ListExecutorsRequest{})
	return wire.Slice(r.GetExecutors(), wire.FromExecutorStatus), fromStatus(err)
}

// Watch calls each with the job's state at once and whenever it changed, and returns nil after the
// terminal one. An error of each ends it and is returned as it is. When the stream breaks before a
// terminal state the error says so; the caller may watch again.
func (c *JobsClient) Watch(ctx context.Context, id model.JobID, each func(model.JobStatus) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.client.Watch(ctx, &jobsv1.WatchRequest{Job: string(id)})
	if err != nil {
		return fromStatus(err)
	}
	ended := false
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) && ended {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("watching %s: the coordinator stopped before the job ended: %w", id, ErrUnavailable)
		}
		if err != nil {
			return fromStatus(err)
		}
		st := wire.FromJobStatus(r.GetStatus())
		ended = st.State.Terminal()
		if err := each(st); err != nil {
			return err
		}
	}
}
