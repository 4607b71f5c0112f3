//! The listener: deadlines, bounds, who makes room for whom, and the end. A small router stands for the service.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use futures_util::stream;
use http_listener::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::{PATIENCE, eventually, eventually_async};

/// Longer than any test.
const NEVER: Duration = Duration::from_hours(1);

/// A deadline that a test waits for.
const SOON: Duration = Duration::from_millis(300);

/// Between two bytes of a client that drips.
const DRIP: Duration = Duration::from_millis(20);

/// Nothing is due, so that a test sees only the deadline that it sets.
const PATIENT: Limits = Limits {
    max_connections: 100,
    header_timeout: NEVER,
    body_timeout: NEVER,
    body_grace: NEVER,
    body_rate: 1,
    answer_timeout: NEVER,
    idle_timeout: NEVER,
};

/// A router behind the listener. Dropping it cuts the connections.
struct Served {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
    /// How far requests to `/wait` have come.
    gate: Gate,
}

/// Counts the requests that have come to it, and lets through as many as it is told.
#[derive(Clone)]
struct Gate {
    come: Arc<Semaphore>,
    let_through: Arc<Semaphore>,
}

impl Gate {
    async fn pass(&self) {
        self.come.add_permits(1);
        self.let_through.acquire().await.unwrap().forget();
    }

    /// Waits until one more request has come.
    async fn comes(&self) {
        let come = timeout(PATIENCE, self.come.acquire()).await;
        come.expect("a request comes").unwrap().forget();
    }

    fn let_through(&self, requests: usize) {
        self.let_through.add_permits(requests);
    }
}

impl Served {
    async fn with(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Gate {
            come: Arc::new(Semaphore::new(0)),
            let_through: Arc::new(Semaphore::new(0)),
        };
        let stop = CancellationToken::new();
        let server = http_listener::serve(listener, router(gate.clone()), limits, stop.clone());
        Self {
            address,
            stop,
            task: tokio::spawn(server),
            gate,
        }
    }

    async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// A new client that has sent this.
    async fn client(&self, bytes: &str) -> Client {
        let mut client = self.connect().await;
        client.send(bytes).await;
        client
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn router(gate: Gate) -> Router {
    Router::new()
        .route("/", get("hello"))
        .route("/length", post(length))
        .route("/unread", post(async || StatusCode::FORBIDDEN))
        .route("/large", get(large))
        .route("/whole", get(whole))
        .route("/wait", get(wait))
        .route("/panic", get(panics))
        .route("/peer", get(peer))
        .with_state(gate)
}

async fn length(body: Bytes) -> String {
    body.len().to_string()
}

/// More than any socket holds.
const LARGE: usize = 64 * 1024 * 1024;

async fn large(State(gate): State<Gate>) -> Body {
    const PIECE: &[u8] = &[b'a'; 64 * 1024];
    let done = DropGuard(gate);
    let pieces = (0..LARGE / PIECE.len()).map(move |_| {
        let _kept = &done;
        Ok::<_, io::Error>(PIECE)
    });
    Body::from_stream(stream::iter(pieces))
}

/// As large, but in one piece, which hyper takes at once. Comes to the gate when it is dropped.
async fn whole(State(gate): State<Gate>) -> Bytes {
    struct Piece {
        bytes: Vec<u8>,
        _done: DropGuard,
    }
    impl AsRef<[u8]> for Piece {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    Bytes::from_owner(Piece {
        bytes: vec![0; LARGE],
        _done: DropGuard(gate),
    })
}

/// Comes to the gate when it is dropped.
struct DropGuard(Gate);

impl Drop for DropGuard {
    fn drop(&mut self) {
        self.0.come.add_permits(1);
    }
}

async fn wait(State(gate): State<Gate>) -> &'static str {
    gate.pass().await;
    "waited"
}

#[expect(clippy::panic, reason = "a defect, played")]
async fn panics() -> &'static str {
    panic!("a handler's defect")
}

async fn peer(ConnectInfo(peer): ConnectInfo<SocketAddr>) -> String {
    peer.to_string()
}

/// A client that does as it likes.
struct Client(TcpStream);

impl Client {
    async fn send(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// The next answer, whose length must be in its headers.
    async fn answer(&mut self) -> String {
        let answer = timeout(PATIENCE, async {
            let mut answer = String::new();
            while !is_whole(&answer) {
                let mut byte = [0];
                let got = self.0.read(&mut byte).await.unwrap();
                assert_eq!(got, 1, "closed after {answer:?}");
                answer.push(byte[0].into());
            }
            answer
        });
        answer.await.expect("an answer")
    }

    /// Everything until the other side closes.
    async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let read = timeout(PATIENCE, self.0.read_to_end(&mut rest)).await;
        // A client that goes on sending may see a reset instead of an end.
        read.expect("the connection is closed").ok();
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Sends a byte at a time, until the other side has had enough.
    async fn drip(mut self) {
        let (mut reader, mut writer) = self.0.split();
        let dripping = async {
            while writer.write_all(b"a").await.is_ok() {
                tokio::time::sleep(DRIP).await;
            }
        };
        let closed = async {
            let mut answer = Vec::new();
            reader.read_to_end(&mut answer).await.ok();
            assert_eq!(String::from_utf8_lossy(&answer), "");
        };
        // Closed for good: what is sent comes back as a reset, not only is there nothing more to read.
        let ended = timeout(PATIENCE, async { tokio::join!(dripping, closed) });
        ended.await.expect("the connection is closed");
    }

    async fn is_answered(&mut self) {
        self.send(GET).await;
        assert!(self.answer().await.starts_with("HTTP/1.1 200 "));
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const WAIT: &str = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";

fn is_whole(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap();
    body.len() == length.parse::<usize>().unwrap()
}

fn status(answer: &str) -> &str {
    let line = answer.strip_prefix("HTTP/1.1 ").unwrap_or_default();
    line.get(..3).unwrap_or_default()
}

#[tokio::test]
async fn a_request_knows_where_it_comes_from() {
    let served = Served::with(PATIENT).await;
    let mut client = served.client("GET /peer HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let own = client.0.local_addr().unwrap().to_string();
    assert!(client.answer().await.ends_with(&own));
}

#[tokio::test]
async fn who_says_nothing_is_closed() {
    let served = Served::with(Limits {
        header_timeout: SOON,
        ..PATIENT
    })
    .await;
    assert_eq!(served.connect().await.rest().await, "");
}

#[tokio::test]
async fn no_byte_of_a_head_buys_time() {
    let served = Served::with(Limits {
        header_timeout: SOON,
        ..PATIENT
    })
    .await;
    served.client("GET / HTTP/1.1\r\nX: ").await.drip().await;
}

#[tokio::test]
async fn a_further_request_has_a_deadline_from_its_first_byte() {
    let served = Served::with(Limits {
        header_timeout: SOON,
        ..PATIENT
    })
    .await;
    let mut client = served.connect().await;
    client.is_answered().await;
    // By the time that a silent client is closed, the same time has passed for the one that was answered.
    served.connect().await.rest().await;
    client.is_answered().await;
    client.send("GET / HTTP/1.1\r\nX: ").await;
    client.drip().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let served = Served::with(Limits {
        idle_timeout: SOON,
        ..PATIENT
    })
    .await;
    let mut client = served.connect().await;
    client.is_answered().await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_body_that_drips_is_given_up() {
    let limits = Limits {
        body_timeout: SOON,
        ..PATIENT
    };
    for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
        let served = Served::with(limits).await;
        let head = format!("POST /length HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\nfffff\r\n");
        served.client(&head).await.drip().await;
    }
}

#[tokio::test]
async fn an_answer_that_is_not_taken_is_given_up() {
    let served = Served::with(Limits {
        answer_timeout: SOON,
        ..PATIENT
    })
    .await;
    let mut client = served
        .client("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    let taking = async {
        let mut taken = 0;
        while let Ok(length @ 1..) = client.0.read(&mut [0; 1000]).await {
            taken += length;
            tokio::time::sleep(DRIP).await;
        }
        taken
    };
    tokio::select! {
        taken = taking => assert!(taken < LARGE),
        // The answer's rest was dropped.
        () = served.gate.comes() => {}
    }
    assert!(client.rest().await.len() < LARGE);
}

#[tokio::test]
async fn a_body_that_stops_is_given_up_in_the_time_that_its_bytes_have_earned() {
    let served = Served::with(Limits {
        body_grace: SOON,
        body_rate: 100,
        ..PATIENT
    })
    .await;
    let head = "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
    // Whatever it is, it comes to an end; a hundred bytes are a second.
    let mut stopped = served.client(head).await;
    assert_eq!(stopped.rest().await, "");
    let mut paid = served.client(head).await;
    paid.send(&"a".repeat(999_999)).await;
    assert_eq!(served.client(head).await.rest().await, "");
    // Nearly three hours are left to it.
    paid.send("a").await;
    assert!(paid.answer().await.ends_with("\r\n\r\n1000000"));
}

/// Bodies that hyper drains only after the answer, when a handler does not read them.
const DRAINED: [&str; 2] = [
    "Transfer-Encoding: chunked\r\n\r\n1\r\nX\r\n0\r\n\r\n",
    "Expect: 100-continue\r\nContent-Length: 1\r\n\r\nX",
];

/// A client that has a further request waiting behind an answer that it does not take.
async fn pipelined_behind_an_answer(served: &Served, drained: &str) -> Client {
    let bytes = format!("GET /whole HTTP/1.1\r\nHost: a\r\n{drained}{GET}");
    let client = served.client(&bytes).await;
    let begun = timeout(PATIENCE, client.0.readable()).await;
    begun.expect("an answer").unwrap();
    client
}

#[tokio::test]
async fn a_further_request_does_not_stay_the_deadline_of_the_answer_before() {
    for drained in DRAINED {
        let served = Served::with(Limits {
            answer_timeout: SOON,
            ..PATIENT
        })
        .await;
        let _silent = pipelined_behind_an_answer(&served, drained).await;
        served.gate.comes().await;
    }
}

#[tokio::test]
async fn further_requests_behind_answers_that_are_not_taken_keep_nobody_out() {
    for drained in DRAINED {
        let served = Served::with(Limits {
            max_connections: 3,
            ..PATIENT
        })
        .await;
        let mut silent = Vec::new();
        for _ in 0..3 {
            silent.push(pipelined_behind_an_answer(&served, drained).await);
        }
        served.connect().await.is_answered().await;
    }
}

#[tokio::test]
async fn further_requests_may_be_sent_before_the_answers() {
    let served = Served::with(PATIENT).await;
    let length = "POST /length HTTP/1.1\r\nHost: a\r\n";
    let known = format!("{length}Content-Length: 5\r\n\r\nhello");
    let mut client = served.connect().await;
    for _ in 0..3 {
        client.send(&[GET, &known, GET, GET].concat()).await;
        for want in ["hello", "5", "hello", "hello"] {
            let answer = client.answer().await;
            assert!(answer.ends_with(&format!("\r\n\r\n{want}")), "{answer}");
            assert!(!answer.contains("connection: close"), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_chunked_body_is_the_last_of_its_connection() {
    let served = Served::with(PATIENT).await;
    for (chunks, want) in [
        ("2\r\nhe\r\n0\r\n\r\n", "2"),
        ("0\r\n\r\n", "0"),
        ("2;a=b\r\nhe\r\n0\r\nX: a\r\n\r\n", "2"),
        // A proxy may see the end of the trailers, and a request, where the LF stand.
        ("0\r\nX: a\n\nGET /peer HTTP/1.1\r\nHost: a\r\n\r\n", "0"),
    ] {
        let chunked = format!(
            "POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}{SMUGGLED}"
        );
        let answer = served.client(&chunked).await.rest().await;
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            1,
            "{chunks:?}: {answer}"
        );
        assert!(answer.contains("connection: close"), "{chunks:?}: {answer}");
        assert!(
            answer.ends_with(&format!("\r\n\r\n{want}")),
            "{chunks:?}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_not_read_ends_the_connection() {
    let served = Served::with(PATIENT).await;
    for body in DRAINED {
        let bytes = format!("POST /unread HTTP/1.1\r\nHost: a\r\n{body}{SMUGGLED}");
        let mut client = served.client(&bytes).await;
        let answer = client.answer().await;
        assert_eq!(status(&answer), "403", "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert_eq!(client.rest().await, "");
    }
}

#[tokio::test]
async fn a_head_that_begins_before_the_answer_has_its_deadline() {
    let served = Served::with(Limits {
        header_timeout: SOON,
        ..PATIENT
    })
    .await;
    let begun = "GET / HTTP/1.1\r\nX: ";
    // In one piece with the request before, or while that is worked on.
    let mut at_once = served.client(&[GET, begun].concat()).await;
    let mut meanwhile = served.client(WAIT).await;
    served.gate.comes().await;
    meanwhile.send(begun).await;
    served.connect().await.is_answered().await;
    served.gate.let_through(1);
    for client in [&mut at_once, &mut meanwhile] {
        assert_eq!(status(&client.answer().await), "200");
        assert_eq!(client.rest().await, "");
    }
}

#[tokio::test]
async fn a_request_that_is_worked_on_has_no_deadline() {
    let served = Served::with(Limits {
        header_timeout: SOON,
        body_timeout: SOON,
        answer_timeout: SOON,
        idle_timeout: SOON,
        ..PATIENT
    })
    .await;
    let mut waiting = served.client(WAIT).await;
    served.gate.comes().await;
    // One after the other, so that twice the time has passed.
    for _ in 0..2 {
        served.connect().await.rest().await;
    }
    served.gate.let_through(1);
    assert_eq!(status(&waiting.answer().await), "200");
}

#[tokio::test]
async fn who_has_waited_the_longest_makes_room() {
    let served = Served::with(Limits {
        max_connections: 3,
        ..PATIENT
    })
    .await;
    // Answered once each, so that the order in which they came in is certain.
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = served.connect().await;
        client.is_answered().await;
        clients.push(client);
    }
    // It has just been answered again: now the second is the one that has waited the longest.
    clients[0].is_answered().await;
    let mut visitor = served.connect().await;
    visitor.is_answered().await;
    assert_eq!(clients[1].rest().await, "");
    for stayed in [0, 2] {
        clients[stayed].is_answered().await;
    }
}

#[tokio::test]
async fn a_flood_of_silence_keeps_nobody_out() {
    let served = Served::with(Limits {
        max_connections: 10,
        ..PATIENT
    })
    .await;
    let mut flood = Vec::new();
    for _ in 0..100 {
        flood.push(served.connect().await);
        flood.push(served.client("GET / HTTP/1.1\r\nX: ").await);
        served.connect().await.is_answered().await;
    }
    // Whoever has no seat has been closed.
    eventually("the seats are those of ten", || {
        let closed = |client: &&Client| client.0.try_read(&mut [0]).is_ok_and(|length| length == 0);
        flood.iter().filter(closed).count() >= flood.len() - 10
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_worked_on_never_makes_room() {
    let served = Served::with(Limits {
        max_connections: 2,
        ..PATIENT
    })
    .await;
    let mut first = served.client(WAIT).await;
    let mut second = served.client(WAIT).await;
    served.gate.comes().await;
    served.gate.comes().await;
    let mut third = served.client(GET).await;
    let third = tokio::spawn(async move { third.answer().await });
    // Whoever is answered makes room, because it is the client's turn again.
    served.gate.let_through(2);
    assert_eq!(status(&first.answer().await), "200");
    assert_eq!(status(&second.answer().await), "200");
    assert_eq!(status(&third.await.unwrap()), "200");
}

#[tokio::test]
async fn a_panic_gives_the_seat_back() {
    let served = Served::with(Limits {
        max_connections: 1,
        ..PATIENT
    })
    .await;
    for _ in 0..3 {
        let mut client = served
            .client("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        assert_eq!(client.rest().await, "");
    }
    served.connect().await.is_answered().await;
}

#[tokio::test]
async fn a_refusal_is_heard_by_a_client_that_still_sends() {
    let served = Served::with(PATIENT).await;
    // More than the sockets hold: without an ear for it, sending fails before the answer is read.
    let plenty = "a".repeat(12 * 1024 * 1024);
    for (bytes, want) in [
        (format!("GET / HTTP/1.1\r\nX: {plenty}\r\n\r\n"), "431"),
        (format!("GET /{plenty} HTTP/1.1\r\n\r\n"), "431"),
        (
            format!("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 16777216\r\n\r\n{plenty}"),
            "403",
        ),
        (
            format!("POST /length HTTP/1.1\r\nContent-Length: 16777216\r\n\r\n{plenty}"),
            "400",
        ),
    ] {
        let mut client = served.client(&bytes).await;
        client.0.shutdown().await.unwrap();
        let answer = client.rest().await;
        assert_eq!(status(&answer), want, "{answer}");
    }
}

#[tokio::test]
async fn a_refused_client_that_goes_on_sending_is_not_heard_for_ever() {
    let served = Served::with(PATIENT).await;
    let mut client = served.client("GET / HTTP/1.1\r\n X: a\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!(status(&answer), "400", "{answer}");
    client.drip().await;
}

#[tokio::test]
async fn headers_have_a_bound() {
    let served = Served::with(PATIENT).await;
    let with_header = |length: usize| {
        let value = "a".repeat(length);
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {value}\r\n\r\n")
    };
    let mut client = served.client(&with_header(24 * 1024)).await;
    assert_eq!(status(&client.answer().await), "200");
    client.send(&with_header(26 * 1024)).await;
    assert_eq!(status(&client.rest().await), "431");
    let many = "X: a\r\n".repeat(101);
    let mut client = served
        .client(&format!("GET / HTTP/1.1\r\n{many}\r\n"))
        .await;
    assert_eq!(status(&client.rest().await), "431");
}

/// A second request that must never be seen, because it stands where a body may be.
const SMUGGLED: &str = "GET /peer HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn a_body_whose_end_is_in_doubt_is_refused_and_the_connection_closed() {
    for head in [
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "Content-Length: 5, 6\r\n\r\nhello",
        "Content-Length: +5\r\n\r\nhello",
        "Content-Length: -5\r\n\r\nhello",
        "Content-Length: 0x5\r\n\r\nhello",
        "Content-Length : 5\r\n\r\nhello",
        "Content-Length: 99999999999999999999\r\n\r\nhello",
        "X: a\r\n Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: identity\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloo\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    ] {
        let served = Served::with(PATIENT).await;
        let bytes = format!("POST /length HTTP/1.1\r\nHost: a\r\n{head}{SMUGGLED}");
        let mut client = served.client(&bytes).await;
        client.0.shutdown().await.unwrap();
        let answer = client.rest().await;
        assert_eq!(status(&answer), "400", "{head:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{head:?}: {answer}");
    }
}

#[tokio::test]
async fn http_2_is_closed_at_once() {
    let served = Served::with(PATIENT).await;
    let mut client = served.client("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    client
        .0
        .write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn at_the_end_the_idle_are_closed_at_once_and_the_others_answered() {
    let mut served = Served::with(PATIENT).await;
    let mut silent = served.connect().await;
    let mut idle = served.connect().await;
    idle.is_answered().await;
    let mut waiting = served.client(WAIT).await;
    served.gate.comes().await;

    served.stop.cancel();
    assert_eq!(silent.rest().await, "");
    assert_eq!(idle.rest().await, "");
    eventually_async("nobody listens", || async {
        TcpStream::connect(served.address).await.is_err()
    })
    .await;
    assert!(!served.task.is_finished(), "a request is in flight");
    served.gate.let_through(1);
    let answer = waiting.rest().await;
    assert_eq!(status(&answer), "200");
    assert!(answer.contains("connection: close"), "{answer}");
    let ended = timeout(PATIENCE, &mut served.task).await;
    ended.expect("it ends").unwrap();
}

#[tokio::test]
async fn without_the_listener_no_connection_goes_on() {
    let served = Served::with(PATIENT).await;
    let mut waiting = served.client(WAIT).await;
    served.gate.comes().await;
    drop(served);
    assert_eq!(waiting.rest().await, "");
}
