use tokio_util::sync::CancellationToken;

use super::*;

const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

/// The only seat there is, and how it is cut.
struct Only {
    seats: Arc<Seats>,
    seat: Seat,
    cut: CancellationToken,
}

impl Only {
    fn new() -> Self {
        let seats = Arc::new(Seats::new(1));
        let permit = seats.free().expect("a seat");
        let cut = CancellationToken::new();
        let heads = ByteBudget::new(2 * SMALL_HEAD);
        let seat = Seat::new(permit, &seats, &heads, Limits::default(), cut.clone());
        Self { seats, seat, cut }
    }

    /// With an answer that hyper has all of, and the client nothing.
    fn with_an_answer_on_its_way() -> Self {
        let only = Self::new();
        only.turn().received(GET);
        only.begins(Some(0));
        only.turn().answer_begins();
        only.turn().answer_is_whole();
        only
    }

    fn turn(&self) -> &Turn {
        &self.seat.turn
    }

    /// A request, whatever its head is worth.
    fn begins(&self, body: Option<u64>) {
        self.turn().request_begins(body).ok();
    }

    fn until(&self) -> Option<Instant> {
        self.turn().progress().until
    }

    fn stage(&self) -> Stage {
        self.turn().progress().stage
    }

    /// Whether another gets the seat.
    fn makes_room(&self) -> bool {
        self.seats.send_longest_away() && self.cut.is_cancelled()
    }
}

#[test]
fn a_request_that_begins_before_the_answer_is_taken_buys_no_time() {
    for body in [Some(0), Some(1), None] {
        let only = Only::with_an_answer_on_its_way();
        let until = only.until();
        assert!(until.is_some());
        only.begins(body);
        assert_eq!(only.until(), until);
        only.turn().body_ends(true);
        assert_eq!(only.until(), until);
        // Its answer may come before the first is taken, if that has no body.
        only.turn().answer_begins();
        only.turn().answer_is_whole();
        assert_eq!(only.until(), until);
        assert!(only.makes_room());
    }
}

#[test]
fn it_is_worked_on_without_a_deadline_once_the_answer_is_taken() {
    for body in [Some(0), Some(1), None] {
        let only = Only::with_an_answer_on_its_way();
        only.begins(body);
        if body != Some(0) {
            only.turn().body_ends(true);
        }
        only.turn().flushed();
        assert_eq!((only.stage(), only.until()), (Stage::Work, None));
        assert!(!only.makes_room());
    }
}

#[test]
fn its_body_has_a_deadline_once_the_answer_is_taken() {
    let only = Only::with_an_answer_on_its_way();
    only.begins(Some(1));
    only.turn().flushed();
    assert_eq!(only.stage(), Stage::Body);
}

#[test]
fn after_an_answer_the_client_is_idle_or_in_a_head() {
    let head = Stage::Head { heard: true };
    for (reads, want) in [
        (&["GET / HTTP/1.1\r\n\r\n"][..], Stage::Idle),
        (&["GET / HTTP/1.1\r\n\r", "\n"], Stage::Idle),
        (&["GET / HTTP/1.1\r", "\n", "\r", "\n"], Stage::Idle),
        (&["GET / HTTP/1.1\r\n\r\nG"], head),
        (&["GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n"], head),
        (&["GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nX: a\r"], head),
    ] {
        let only = Only::new();
        for read in reads {
            only.turn().received(read.as_bytes());
        }
        only.begins(Some(0));
        only.turn().answer_begins();
        only.turn().answer_is_whole();
        only.turn().flushed();
        assert_eq!(only.stage(), want, "{reads:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bodys_bytes_buy_time_up_to_the_whole() {
    let seconds = Duration::from_secs;
    let limits = Limits::default();
    let only = Only::new();
    let began = Instant::now();
    only.turn().received(b"POST / HTTP/1.1\r\n\r\n");
    only.begins(Some(10_000_000));
    let left = |bytes: usize| {
        only.turn().received(&vec![b'a'; bytes]);
        only.until().map(|until| until - began)
    };
    assert_eq!(only.until(), Some(began + limits.body_grace));
    assert_eq!(left(16 * 1024), Some(limits.body_grace + seconds(1)));
    tokio::time::advance(seconds(2)).await;
    assert_eq!(left(32 * 1024), Some(limits.body_grace + seconds(3)));
    assert_eq!(left(1024 * 1024), Some(limits.body_timeout));
}

#[test]
fn a_large_head_counts_until_it_is_whole() {
    let only = Only::new();
    let used = || only.turn().head_budget.used();
    only.turn().received(b"GET / HTTP/1.1\r\nX: ");
    only.turn().received(&[b'a'; SMALL_HEAD]);
    assert_eq!(used(), 19);
    only.turn().received(b"\r\n\r\n");
    only.begins(Some(0));
    assert_eq!(used(), 0);
    assert!(!only.cut.is_cancelled());
    only.turn().received(&vec![b'a'; 3 * SMALL_HEAD + 1]);
    assert!(only.cut.is_cancelled());
}

#[test]
fn what_comes_before_the_answer_is_taken_is_of_a_head() {
    let only = Only::with_an_answer_on_its_way();
    only.turn().received(b"G");
    only.turn().flushed();
    assert_eq!(only.stage(), Stage::Head { heard: true });
}
