use std::time::Duration;

use super::*;

const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

const LIMITS: Limits = Limits {
    max_connections: 1,
    header_timeout: Duration::from_secs(10),
    body_timeout: Duration::from_secs(30),
    body_grace: Duration::from_secs(5),
    min_body_rate: 16 * 1024,
    write_timeout: Duration::from_mins(1),
    min_write_rate: 16 * 1024,
    idle_timeout: Duration::from_secs(75),
    max_head_bytes: 25 * 1024,
    max_unfinished_head_bytes: 2 * FREE_HEAD_BYTES,
};

/// The only connection of a listener.
struct Connection {
    slots: Arc<ConnectionSlots>,
    state: ConnectionState,
    abort: CancellationToken,
}

impl Connection {
    fn new() -> Self {
        let slots = Arc::new(ConnectionSlots::new(LIMITS.max_connections));
        let abort = CancellationToken::new();
        let head_budget = ByteBudget::new(LIMITS.max_unfinished_head_bytes);
        let state = ConnectionState::new(Arc::clone(&slots), head_budget, LIMITS, abort.clone());
        Self {
            slots,
            state,
            abort,
        }
    }

    /// With a response that hyper has all of, and the client nothing.
    fn with_a_pending_response() -> Self {
        let connection = Self::new();
        connection.state.received(GET);
        connection.head_parsed(Some(0));
        connection.state.response_started();
        connection.state.response_produced();
        connection
    }

    /// Starts a request, ambiguous or not.
    fn head_parsed(&self, body: Option<u64>) {
        self.state.head_parsed(body).ok();
    }

    fn deadline(&self) -> Option<Instant> {
        self.state.progress().deadline
    }

    fn phase(&self) -> Phase {
        self.state.progress().phase
    }

    fn is_evictable(&self) -> bool {
        self.slots.evict_slowest() && self.abort.is_cancelled()
    }
}

#[test]
fn a_pipelined_request_does_not_reset_the_write_deadline() {
    for body in [Some(0), Some(1), None] {
        let connection = Connection::with_a_pending_response();
        let deadline = connection.deadline();
        assert!(deadline.is_some());
        connection.head_parsed(body);
        assert_eq!(connection.deadline(), deadline);
        connection.state.body_ended(true);
        assert_eq!(connection.deadline(), deadline);
        // Its response may start before the first is taken, if that has no body.
        connection.state.response_started();
        connection.state.response_produced();
        assert_eq!(connection.deadline(), deadline);
        assert!(connection.is_evictable());
    }
}

#[test]
fn a_pipelined_request_has_no_deadline_while_it_is_handled() {
    for body in [Some(0), Some(1), None] {
        let connection = Connection::with_a_pending_response();
        connection.head_parsed(body);
        if body != Some(0) {
            connection.state.body_ended(true);
        }
        connection.state.flushed();
        assert_eq!(
            (connection.phase(), connection.deadline()),
            (Phase::Handling, None)
        );
        assert!(!connection.is_evictable());
    }
}

#[test]
fn a_pipelined_body_has_a_deadline_once_the_response_is_taken() {
    let connection = Connection::with_a_pending_response();
    connection.head_parsed(Some(1));
    connection.state.flushed();
    assert_eq!(connection.phase(), Phase::Body);
}

#[test]
fn a_response_is_followed_by_idle_or_by_a_head() {
    let head = Phase::Head;
    for (reads, want) in [
        (&["GET / HTTP/1.1\r\n\r\n"][..], Phase::Idle),
        (&["GET / HTTP/1.1\r\n\r", "\n"], Phase::Idle),
        (&["GET / HTTP/1.1\r", "\n", "\r", "\n"], Phase::Idle),
        (&["GET / HTTP/1.1\r\n\r\nG"], head),
        (&["GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n"], head),
        (&["GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nX: a\r"], head),
    ] {
        let connection = Connection::new();
        for read in reads {
            connection.state.received(read.as_bytes());
        }
        connection.head_parsed(Some(0));
        connection.state.response_started();
        connection.state.response_produced();
        connection.state.flushed();
        assert_eq!(connection.phase(), want, "{reads:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn body_deadline_moves_with_the_minimum_rate_up_to_the_timeout() {
    let seconds = Duration::from_secs;
    let limits = LIMITS;
    let connection = Connection::new();
    let started = Instant::now();
    connection.state.received(b"POST / HTTP/1.1\r\n\r\n");
    connection.head_parsed(Some(10_000_000));
    let left = |bytes: usize| {
        connection.state.received(&vec![b'a'; bytes]);
        connection.deadline().map(|deadline| deadline - started)
    };
    assert_eq!(connection.deadline(), Some(started + limits.body_grace));
    assert_eq!(left(16 * 1024), Some(limits.body_grace + seconds(1)));
    tokio::time::advance(seconds(2)).await;
    assert_eq!(left(32 * 1024), Some(limits.body_grace + seconds(3)));
    assert_eq!(left(1024 * 1024), Some(limits.body_timeout));
}

#[tokio::test(start_paused = true)]
async fn write_deadline_moves_with_the_minimum_rate_while_bytes_are_taken() {
    let seconds = Duration::from_secs;
    let connection = Connection::with_a_pending_response();
    let started = Instant::now();
    let left = |bytes: usize| {
        connection.state.sent(bytes);
        connection.deadline().map(|deadline| deadline - started)
    };
    // The first bytes are as fresh as the response.
    assert_eq!(left(1024 * 1024), Some(seconds(60)));
    // A MiB moves the deadline by 64 seconds: what counts is the time without progress.
    tokio::time::advance(seconds(40)).await;
    assert_eq!(left(1), Some(seconds(40 + 60)));
    // What drips in moves it by next to nothing.
    tokio::time::advance(seconds(50)).await;
    let dripped = left(1).unwrap();
    assert!(
        (seconds(124)..seconds(125)).contains(&dripped),
        "{dripped:?}"
    );
    assert!(connection.is_evictable());
}

#[test]
fn bytes_between_responses_move_no_deadline() {
    let connection = Connection::new();
    let deadline = connection.deadline();
    connection.state.sent(1024 * 1024);
    assert_eq!(connection.deadline(), deadline);
}

#[test]
fn an_unfinished_head_is_charged_until_it_is_complete() {
    let connection = Connection::new();
    let used = || connection.state.head_budget.used();
    connection.state.received(b"GET / HTTP/1.1\r\nX: ");
    connection.state.received(&[b'a'; FREE_HEAD_BYTES]);
    assert_eq!(used(), 19);
    connection.state.received(b"\r\n\r\n");
    connection.head_parsed(Some(0));
    assert_eq!(used(), 0);
    assert!(!connection.abort.is_cancelled());
    connection
        .state
        .received(&vec![b'a'; 3 * FREE_HEAD_BYTES + 1]);
    assert!(connection.abort.is_cancelled());
}

#[test]
fn bytes_behind_a_pending_response_are_of_a_head() {
    let connection = Connection::with_a_pending_response();
    connection.state.received(b"G");
    connection.state.flushed();
    assert_eq!(connection.phase(), Phase::Head);
}
