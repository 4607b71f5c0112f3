//! Step by step: the order, the batches, and what follows from each answer of the receiver.

use std::time::Duration;

use futures_util::poll;
use wxqr::webhooks::{FailureReason, Lag, Monitor, WebhookStatus};

use super::bench::{Bench, SECRET, benches, drain};
use crate::support::closed_port;
use crate::support::receiver::{Answers, Received, Receiver, url_at};

const HOUR: Duration = Duration::from_hours(1);

impl Bench {
    async fn status(&self) -> WebhookStatus {
        let (store, events) = (self.store.webhooks.clone(), self.store.events.clone());
        let monitor = Monitor::new(store, events, self.clock.clone());
        monitor.status().await.unwrap().unwrap()
    }

    /// As after the end of the longest back-off.
    fn let_an_hour_pass(&self) {
        self.clock.advance(HOUR);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_begins_with_the_events_after_it() {
    for bench in benches().await {
        let receiver = Receiver::spawn().await;
        bench.record(0, 3).await;
        let mut sender = bench.sender(&receiver.url()).await;
        drain(&mut sender).await;
        assert_eq!(receiver.count(), 0);
        bench.record(3, 2).await;
        drain(&mut sender).await;
        assert_eq!(receiver.event_ids(), bench.event_ids().await[3..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_was_away_gets_every_event_in_order() {
    for bench in benches().await {
        let address = closed_port();
        let mut sender = bench.sender(&url_at(address)).await;
        bench.record(0, 230).await;
        for _ in 0..3 {
            assert!(!sender.step().await.unwrap());
            bench.let_an_hour_pass();
        }
        let status = bench.status().await;
        assert_eq!(status.progress.failures, 3);
        let reason = status.progress.last_failure.map(|failure| failure.reason);
        assert_eq!(reason, Some(FailureReason::Unreachable));
        assert_eq!(
            status.lag,
            Lag {
                events: 230,
                age: 3 * HOUR
            }
        );
        let receiver = Receiver::at(address).await;
        drain(&mut sender).await;
        assert_eq!(receiver.event_ids(), bench.event_ids().await);
        assert_eq!(receiver.count(), 3, "at most 100 events each");
        let status = bench.status().await;
        assert_eq!((status.progress.failures, status.lag.events), (0, 0));
        assert!(status.progress.delivered_at.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_sent_again_is_the_same_whoever_sends_it() {
    for bench in benches().await {
        let receiver = Receiver::spawn().await;
        receiver.answer(Answers::Status(500));
        let mut senders = [
            bench.sender(&receiver.url()).await,
            bench.sender(&receiver.url()).await,
        ];
        bench.record(0, 2).await;
        senders[0].step().await.unwrap();
        bench.record(2, 2).await;
        bench.let_an_hour_pass();
        senders[1].step().await.unwrap();
        receiver.answer(Answers::Status(204));
        bench.let_an_hour_pass();
        for _ in 0..2 {
            senders[0].step().await.unwrap();
        }
        let webhooks = receiver.received();
        let sizes: Vec<_> = webhooks.iter().map(|one| one.events().len()).collect();
        assert_eq!(sizes, [2, 2, 2, 2]);
        let ids: Vec<_> = webhooks.iter().map(Received::id).collect();
        assert_eq!((ids[0], ids[0]), (ids[1], ids[2]));
        assert_ne!(ids[2], ids[3]);
        let all: Vec<_> = webhooks[2..].iter().flat_map(Received::event_ids).collect();
        assert_eq!(all, bench.event_ids().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_sends_at_a_time() {
    for bench in benches().await {
        let receiver = Receiver::spawn().await;
        receiver.answer(Answers::Hangs);
        let mut one = bench.sender(&receiver.url()).await;
        let mut other = bench.sender(&receiver.url()).await;
        bench.record(0, 1).await;
        let mut sending = Box::pin(one.step());
        while receiver.count() == 0 {
            assert!(poll!(&mut sending).is_pending());
            tokio::task::yield_now().await;
        }
        for _ in 0..5 {
            assert!(!other.step().await.unwrap());
        }
        assert_eq!(receiver.count(), 1, "the lease is held");
        // The process ends here, as by `kill -9`. Its lease ends by itself.
        drop(sending);
        receiver.answer(Answers::Status(200));
        bench
            .database
            .run("UPDATE webhook SET held_until = 0")
            .await;
        drain(&mut other).await;
        let webhooks = receiver.received();
        assert_eq!(webhooks.len(), 2);
        assert_eq!(webhooks[0].id(), webhooks[1].id());
    }
}

/// Twelve attempts in the first quarter of an hour, then four an hour.
#[tokio::test(flavor = "multi_thread")]
async fn an_hour_of_errors_costs_few_tries_and_is_caught_up() {
    for bench in benches().await {
        let receiver = Receiver::spawn().await;
        receiver.answer(Answers::Status(500));
        let mut senders = [
            bench.sender(&receiver.url()).await,
            bench.sender(&receiver.url()).await,
        ];
        bench.record(0, 250).await;
        for _ in 0..360 {
            for sender in &mut senders {
                assert!(!sender.step().await.unwrap());
            }
            bench.clock.advance(HOUR / 360);
        }
        let attempts = receiver.count();
        assert!((12..=24).contains(&attempts), "{attempts} attempts");
        receiver.answer(Answers::Status(200));
        bench.let_an_hour_pass();
        drain(&mut senders[1]).await;
        let delivered: Vec<_> = receiver.received().split_off(attempts);
        let ids: Vec<_> = delivered.iter().flat_map(Received::event_ids).collect();
        assert_eq!(ids, bench.event_ids().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_is_honoured() {
    for bench in benches().await {
        let receiver = Receiver::spawn().await;
        receiver.answer(Answers::RetryAfter("600"));
        let mut sender = bench.sender(&receiver.url()).await;
        bench.record(0, 1).await;
        sender.step().await.unwrap();
        for (seconds, want) in [(599, 1), (1, 2)] {
            bench.clock.advance(Duration::from_secs(seconds));
            sender.step().await.unwrap();
            assert_eq!(receiver.count(), want, "after {seconds} s more");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_410_ends_the_tries_until_a_restart() {
    for bench in benches().await {
        let receiver = Receiver::spawn().await;
        receiver.answer(Answers::Status(410));
        let mut sender = bench.sender(&receiver.url()).await;
        bench.record(0, 1).await;
        for _ in 0..5 {
            sender.step().await.unwrap();
            bench.let_an_hour_pass();
        }
        assert_eq!(receiver.count(), 1);
        let failure = bench.status().await.progress.last_failure.unwrap();
        assert_eq!(failure.reason, FailureReason::Gone);
        // A restart tries again, at once.
        receiver.answer(Answers::Status(200));
        let mut restarted = bench.sender(&receiver.url()).await;
        drain(&mut restarted).await;
        assert_eq!(receiver.count(), 2);
        assert_eq!(bench.status().await.lag.events, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_does_not_wait_for_the_end_of_a_back_off() {
    for bench in benches().await {
        let mut sender = bench.sender(&url_at(closed_port())).await;
        bench.record(0, 1).await;
        for _ in 0..12 {
            sender.step().await.unwrap();
            bench.let_an_hour_pass();
        }
        sender.step().await.unwrap();
        let receiver = Receiver::spawn().await;
        let mut restarted = bench.sender(&receiver.url()).await;
        drain(&mut restarted).await;
        assert_eq!(receiver.count(), 1);
    }
}

/// The end of the back-off is then hours away, by the clock as it is now.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_delays_a_try_by_the_longest_back_off() {
    for bench in benches().await {
        let receiver = Receiver::spawn().await;
        receiver.answer(Answers::Status(500));
        let mut sender = bench.sender(&receiver.url()).await;
        bench.record(0, 1).await;
        sender.step().await.unwrap();
        receiver.answer(Answers::Status(200));
        bench.clock.set_back(2 * HOUR);
        for (seconds, want) in [(0, 1), (899, 1), (1, 2)] {
            bench.clock.advance(Duration::from_secs(seconds));
            sender.step().await.unwrap();
            assert_eq!(receiver.count(), want, "after {seconds} s more");
        }
        assert_eq!(bench.status().await.lag.events, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_no_success_and_is_not_followed() {
    for bench in benches().await {
        let receiver = Receiver::spawn().await;
        receiver.answer(Answers::Redirect);
        let mut sender = bench.sender(&receiver.url()).await;
        bench.record(0, 1).await;
        sender.step().await.unwrap();
        let webhooks = receiver.received();
        assert_eq!(webhooks.len(), 1);
        assert_eq!(webhooks[0].path, "/CANARY-path?token=CANARY-token");
        let failure = bench.status().await.progress.last_failure.unwrap();
        assert_eq!(failure.reason, FailureReason::Refused(307));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openids_are_sent_only_where_they_are_asked_for() {
    for bench in benches().await {
        for with_openids in [false, true] {
            let receiver = Receiver::spawn().await;
            let mut sender = bench
                .sender_with(&receiver.url(), SECRET, with_openids)
                .await;
            bench.record(usize::from(with_openids), 1).await;
            drain(&mut sender).await;
            let webhooks = receiver.received();
            let openid = webhooks[0].events()[0]["openid"].as_str();
            assert_eq!(openid, with_openids.then_some("oFollower00000001"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scans_of_bindings_are_passed_over() {
    for bench in benches().await {
        let receiver = Receiver::spawn().await;
        let mut sender = bench.sender(&receiver.url()).await;
        bench.record_scene("wxqr.bind.unknown", 0, 3).await;
        assert_eq!(bench.status().await.lag.events, 3);
        drain(&mut sender).await;
        assert_eq!(receiver.count(), 0);
        assert_eq!(bench.status().await.lag.events, 0);
        bench.record(3, 1).await;
        drain(&mut sender).await;
        assert_eq!(receiver.event_ids(), bench.event_ids().await);
    }
}
