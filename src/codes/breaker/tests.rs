use super::*;
use crate::clock::ManualClock;

fn refusal<T>(errcode: i64) -> Result<T, wechat::Error> {
    Err(wechat::Error::Refused(ApiError {
        errcode: Errcode(errcode),
        errmsg: String::new(),
    }))
}

/// A call that was allowed, and what it gave.
async fn call(breaker: &CircuitBreaker, api: Api, result: Result<(), wechat::Error>) {
    let permit = breaker.acquire(api, Priority::Low).await.unwrap();
    breaker.record(permit, &result).await;
}

async fn breaker() -> (Arc<ManualClock>, CircuitBreaker) {
    let clock = Arc::new(ManualClock::starting_at(Timestamp::UNIX_EPOCH));
    let store = CodeStore::in_memory(Arc::<ManualClock>::clone(&clock)).await;
    (Arc::clone(&clock), CircuitBreaker::new(store, clock))
}

#[tokio::test]
async fn an_exhausted_quota_lets_one_probe_a_minute_through_until_it_clears() {
    let (clock, breaker) = breaker().await;
    call(&breaker, Api::Create, refusal(45009)).await;
    assert_eq!(
        breaker
            .acquire(Api::Create, Priority::Low)
            .await
            .unwrap_err()
            .retry_after,
        Duration::from_mins(1)
    );
    assert!(
        breaker.acquire(Api::Token, Priority::Low).await.is_ok(),
        "each call has its own quota"
    );

    clock.advance(Duration::from_mins(1));
    assert!(
        breaker.acquire(Api::Create, Priority::Low).await.is_err(),
        "a key comes first"
    );
    clock.advance(PROBE_PRECEDENCE);
    let probe = breaker
        .acquire(Api::Create, Priority::Low)
        .await
        .expect("the probe");
    assert!(
        breaker.acquire(Api::Create, Priority::Low).await.is_err(),
        "one probe only"
    );

    breaker.record(probe, &Ok(())).await;
    assert!(breaker.acquire(Api::Create, Priority::Low).await.is_ok());
    assert!(breaker.acquire(Api::Create, Priority::Low).await.is_ok());
}

#[tokio::test]
async fn a_probe_of_the_days_quota_is_a_keys_first() {
    let (clock, breaker) = breaker().await;
    call(&breaker, Api::Create, refusal(45009)).await;
    clock.advance(PROBE_INTERVAL);
    assert!(breaker.acquire(Api::Create, Priority::Low).await.is_err());
    let probe = breaker.acquire(Api::Create, Priority::High).await.unwrap();
    assert!(breaker.acquire(Api::Create, Priority::High).await.is_err());
    breaker.record(probe, &Ok(())).await;
    assert!(breaker.acquire(Api::Create, Priority::Low).await.is_ok());
}

#[tokio::test]
async fn a_stop_by_the_minute_limit_ends_sooner_for_keys() {
    let (clock, breaker) = breaker().await;
    let acquire = |priority| breaker.acquire(Api::Create, priority);
    call(&breaker, Api::Create, refusal(45011)).await;
    let probe = acquire(Priority::High).await.expect("at once");
    let refused = acquire(Priority::High).await.unwrap_err();
    assert_eq!(
        refused.retry_after, HIGH_PRIORITY_PROBE_INTERVAL,
        "one at a time"
    );
    breaker.record(probe, &refusal::<()>(45011)).await;

    clock.advance(HIGH_PRIORITY_PROBE_INTERVAL);
    let refused = acquire(Priority::Low).await.unwrap_err();
    assert_eq!(
        refused.retry_after + HIGH_PRIORITY_PROBE_INTERVAL,
        PROBE_INTERVAL
    );
    let probe = acquire(Priority::High).await.expect("visitors took none");
    breaker.record(probe, &Ok(())).await;
    for _ in 0..3 {
        let call = acquire(Priority::High).await.expect("they go on");
        breaker.record(call, &Ok(())).await;
    }
    assert!(acquire(Priority::Low).await.is_err(), "visitors wait on");

    clock.advance(PROBE_INTERVAL);
    let probe = acquire(Priority::Low).await.expect("the visitors' probe");
    breaker.record(probe, &refusal::<()>(45011)).await;
    let probe = acquire(Priority::High)
        .await
        .expect("a new stop, a new probe");
    breaker.record(probe, &refusal::<()>(45011)).await;
    assert!(acquire(Priority::High).await.is_err());
}

#[tokio::test]
async fn a_cleared_minute_limit_stays_cleared_while_visitors_probe() {
    let (clock, breaker) = breaker().await;
    let acquire = |priority| breaker.acquire(Api::Create, priority);
    let late = acquire(Priority::Low).await.expect("before the stop");
    call(&breaker, Api::Create, refusal(45011)).await;
    let probe = acquire(Priority::High).await.unwrap();
    breaker.record(probe, &Ok(())).await;
    breaker.record(late, &refusal::<()>(45011)).await;
    drop(acquire(Priority::High).await.expect("it is the same stop"));

    clock.advance(PROBE_INTERVAL);
    let probe = acquire(Priority::Low).await.expect("the visitors' probe");
    for _ in 0..2 {
        drop(acquire(Priority::High).await.expect("the limit is cleared"));
    }
    breaker.refresh(Api::Create).await;
    let shared = breaker.store.stop_of(Api::Create.as_str()).await.unwrap();
    let elsewhere = shared.map(|stop| Stop {
        next_probe: stop.next_probe + PROBE_INTERVAL,
        ..stop
    });
    breaker.observe(breaker.state_version(), Api::Create, elsewhere);
    let still_cleared = acquire(Priority::High).await;
    drop(still_cleared.expect("another replica probes"));
    breaker.record(probe, &Ok(())).await;

    call(&breaker, Api::Create, refusal(45011)).await;
    clock.advance(HIGH_PRIORITY_PROBE_INTERVAL);
    let _probe = acquire(Priority::High).await.unwrap();
    acquire(Priority::High).await.expect_err("a new stop");
}

#[tokio::test]
async fn a_key_waits_for_the_outcome_of_a_keys_probe() {
    const LONG: Duration = Duration::from_mins(1);
    for (errcode, cleared) in [(45011, true), (45011, false), (45009, true), (45009, false)] {
        let (clock, breaker) = breaker().await;
        let acquire = |priority, most: Duration| {
            breaker.acquire_by(Instant::now() + most, Api::Create, priority)
        };
        call(&breaker, Api::Create, refusal(errcode)).await;
        clock.advance(PROBE_INTERVAL);
        let probe = acquire(Priority::High, LONG).await.unwrap();
        let mut waiting = std::pin::pin!(acquire(Priority::High, LONG));
        assert!(futures_util::poll!(&mut waiting).is_pending(), "{errcode}");
        let refused = acquire(Priority::High, Duration::ZERO).await;
        refused.expect_err("its deadline is over");
        // After the minute limit the visitors' probe is another one, which is due.
        let visitor = acquire(Priority::Low, LONG).await;
        assert_eq!(visitor.is_err(), errcode == 45009, "visitors do not wait");
        drop(visitor);

        let outcome = if cleared { Ok(()) } else { refusal(errcode) };
        breaker.record(probe, &outcome).await;
        assert_eq!(waiting.await.is_ok(), cleared, "{errcode}");
    }
}

#[tokio::test]
async fn a_dropped_probe_ends_the_wait_for_its_outcome() {
    let (_, breaker) = breaker().await;
    call(&breaker, Api::Create, refusal(45011)).await;
    let acquire = || {
        let deadline = Instant::now() + Duration::from_mins(1);
        breaker.acquire_by(deadline, Api::Create, Priority::High)
    };
    let probe = acquire().await.unwrap();
    let mut waiting = std::pin::pin!(acquire());
    assert!(futures_util::poll!(&mut waiting).is_pending());
    drop(probe);
    waiting.await.expect_err("the next probe is to come");
}

#[tokio::test]
async fn a_success_that_was_under_way_does_not_end_a_stop() {
    let (_, breaker) = breaker().await;
    let early = breaker.acquire(Api::Create, Priority::Low).await.unwrap();
    call(&breaker, Api::Create, refusal(45009)).await;
    breaker.record(early, &Ok(())).await;
    assert!(breaker.acquire(Api::Create, Priority::Low).await.is_err());
}

#[tokio::test]
async fn what_was_read_before_a_stop_was_written_does_not_end_it() {
    let (_, breaker) = breaker().await;
    let is_stopped = async || breaker.acquire(Api::Create, Priority::Low).await.is_err();
    let permit = breaker.acquire(Api::Create, Priority::Low).await.unwrap();
    let before = breaker.state_version();
    let refused = refusal::<()>(45009);
    let mut recording = std::pin::pin!(breaker.record(permit, &refused));
    assert!(futures_util::poll!(&mut recording).is_pending());
    let meanwhile = breaker.state_version();
    breaker.observe(meanwhile, Api::Create, None);
    assert!(is_stopped().await, "it is not in the database yet");
    recording.await;
    for version in [before, meanwhile] {
        breaker.observe(version, Api::Create, None);
        assert!(is_stopped().await, "the read was before it");
    }
    breaker.observe(breaker.state_version(), Api::Create, None);
    assert!(!is_stopped().await, "another replica's probe succeeded");
}

#[tokio::test]
async fn without_the_database_one_caller_of_a_replica_probes() {
    let (clock, breaker) = breaker().await;
    call(&breaker, Api::Create, refusal(45009)).await;
    breaker.store.close().await;
    assert!(
        breaker.acquire(Api::Create, Priority::Low).await.is_err(),
        "it is known here"
    );

    clock.advance(PROBE_INTERVAL + PROBE_PRECEDENCE);
    let probe = breaker
        .acquire(Api::Create, Priority::Low)
        .await
        .expect("the probe");
    assert!(
        breaker.acquire(Api::Create, Priority::Low).await.is_err(),
        "one probe only"
    );
    breaker.record(probe, &Ok(())).await;
    assert!(breaker.acquire(Api::Create, Priority::Low).await.is_ok());
}

#[tokio::test]
async fn a_fault_stands_until_the_call_that_showed_it_works() {
    let (_, breaker) = breaker().await;
    for (api, errcode, ends_with_a_token) in [
        (Api::Token, 40001, true),
        (Api::Token, 40164, true),
        (Api::Create, 48001, false),
    ] {
        call(&breaker, api, refusal(errcode)).await;
        assert_eq!(breaker.fault().unwrap().refusal.errcode, Errcode(errcode));
        call(&breaker, Api::Token, Ok(())).await;
        assert_eq!(
            breaker.fault().is_none(),
            ends_with_a_token,
            "errcode {errcode}"
        );
        call(&breaker, Api::Create, Ok(())).await;
        assert_eq!(breaker.fault(), None, "errcode {errcode}");
    }
}

#[tokio::test]
async fn passing_trouble_is_no_fault() {
    // The last is a token that died, which is renewed.
    for errcode in [-1, 45011, 40053, 45029, 42001] {
        let (_, breaker) = breaker().await;
        call(&breaker, Api::Create, refusal(errcode)).await;
        assert_eq!(breaker.fault(), None, "errcode {errcode}");
    }
}

#[test]
fn each_quota_of_wechat_has_its_label() {
    let quotas = Errcode::documented().filter(|errcode| errcode.class() == Class::Quota);
    let quotas: Vec<_> = quotas.map(|errcode| errcode.0).collect();
    assert_eq!(quotas, telemetry::QUOTA_ERRCODES);
}
