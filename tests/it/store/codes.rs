//! What the database promises about codes, against each engine: a file of SQLite, SQLite in memory,
//! PostgreSQL, and that behind PgBouncer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use uuid::Uuid;
use wechat::scene::{PermanentScene, Scene, TemporaryScene};
use wechat::ticket::IssuedCode;
use wxqr::app::Stores;
use wxqr::channels::{ChannelFilter, Order};
use wxqr::clock::ManualClock;
use wxqr::codes::{
    BeginMint, FinishMint, ImportConflict, Imported, Intent, Lease, MintGrant, MintedCode,
    ReserveOutcome, Stock, Stop, UncountedMints,
};
use wxqr::db::Error;

use super::contract::{
    APP_ID, Bench, MINUTE, contract, for_a_while, for_ever, open, permanent, temporary,
};
use crate::support::eventually_async;

/// Does a thing many times at once, in turn with each store, until the database has an answer for
/// each.
async fn crowd<T, F>(size: usize, stores: &[Stores], act: impl Fn(Stores) -> F + Copy) -> Vec<T>
where
    F: Future<Output = Result<T, Error>>,
{
    let one = |n: usize| async move {
        loop {
            match act(stores[n % stores.len()].clone()).await {
                Ok(done) => return done,
                // A hundred writers at once may be too many for a second of a slow disk.
                Err(Error::Timeout | Error::Busy | Error::Failed(_)) => {
                    tokio::task::yield_now().await;
                }
                Err(error) => unreachable!("{error}"),
            }
        }
    };
    join_all((0..size).map(one)).await
}

async fn ticket_of(store: &Stores, scene: &Scene) -> Option<String> {
    let found = store.codes.find(scene).await.unwrap()?;
    Some(found.ticket.as_str().to_owned())
}

async fn granted(store: &Stores, scene: &PermanentScene) -> Intent {
    match store.codes.reserve(scene, 100, None).await.unwrap() {
        ReserveOutcome::Granted(intent, _) => intent,
        other => unreachable!("{other:?}"),
    }
}

async fn a_code_is_found_as_it_was_saved(bench: Bench) {
    let [store, other, _] = bench.replicas().await;
    let scene = temporary(7);
    assert_eq!(
        store
            .codes
            .find(&scene)
            .await
            .unwrap()
            .map(|code| code.ticket),
        None
    );
    let saved = for_a_while("first", bench.now(), 1800);
    store.codes.save(&scene, &saved).await.unwrap();
    let found = other.codes.find(&scene).await.unwrap().unwrap();
    assert_eq!(
        (found.ticket, found.url, found.life),
        (saved.ticket, saved.url, saved.life)
    );
    let text = Scene::Temporary(TemporaryScene::Text("7".parse().unwrap()));
    assert!(
        other.codes.find(&text).await.unwrap().is_none(),
        "a text is no number"
    );
    let stranger = open_as(&bench, "wxsomebodyelse").await;
    if let Some(stranger) = stranger {
        assert!(
            stranger.codes.find(&scene).await.unwrap().is_none(),
            "another account"
        );
    }
}

async fn open_as(bench: &Bench, appid: &str) -> Option<Stores> {
    if bench.is_in_memory() {
        return None;
    }
    let opened = open(&bench.database.url, appid, "test", bench.clock.clone());
    Some(opened.await.unwrap())
}

async fn of_two_codes_the_later_minted_stays(bench: Bench) {
    let store = bench.replica().await;
    let scene = temporary(7);
    let second = Duration::from_secs(1);
    for (ticket, minted_at, stays) in [
        ("b", bench.now(), "b"),
        ("a", bench.now() - second, "b"),
        ("c", bench.now() + second, "c"),
    ] {
        store
            .codes
            .save(&scene, &for_a_while(ticket, minted_at, 60))
            .await
            .unwrap();
        assert_eq!(
            ticket_of(&store, &scene).await.as_deref(),
            Some(stays),
            "after {ticket}"
        );
    }
    let refused = store.codes.save(&scene, &for_ever("d")).await;
    assert!(
        matches!(refused, Err(Error::BadRow(_))),
        "a permanent code goes through the ledger"
    );
}

async fn only_expired_codes_are_purged_and_only_in_batches(bench: Bench) {
    let store = bench.replica().await;
    for id in 1..=510 {
        let expired = for_a_while("expired", bench.now() - MINUTE, 30);
        store.codes.save(&temporary(id), &expired).await.unwrap();
    }
    let lasting = for_a_while("lasting", bench.now(), 60);
    store.codes.save(&temporary(1000), &lasting).await.unwrap();
    let intent = granted(&store, &permanent("for ever")).await;
    store
        .codes
        .confirm(&intent, &for_ever("for-ever"))
        .await
        .unwrap();
    granted(&store, &permanent("unknown")).await;

    let mut removed = Vec::new();
    for _ in 0..3 {
        removed.push(store.codes.purge_expired(bench.now()).await.unwrap());
    }
    assert_eq!(removed, [500, 10, 0]);
    let all = store
        .channels
        .list(&ChannelFilter::default(), Order::default(), None, 1000)
        .await
        .unwrap();
    assert_eq!(all.items.len(), 3, "{all:?}");
}

async fn a_lease_is_held_by_one(bench: Bench) {
    let stores = bench.replicas().await;
    let taken = crowd(30, &stores, |store| async move {
        store.codes.lease("x", MINUTE).await
    })
    .await;
    let mut held: Vec<_> = taken.into_iter().flatten().collect();
    assert_eq!(held.len(), 1);
    assert!(
        stores[0].codes.lease("y", MINUTE).await.unwrap().is_some(),
        "another name is free"
    );
    held.pop().unwrap().release().await;
    assert!(
        stores[1].codes.lease("x", MINUTE).await.unwrap().is_some(),
        "given back"
    );
}

async fn a_lease_ends_by_itself_and_is_then_not_its_holders(bench: Bench) {
    let store = bench.replica().await;
    let late = store.codes.lease("x", MINUTE).await.unwrap().unwrap();
    bench
        .clock
        .advance(MINUTE.saturating_sub(Duration::from_millis(1)));
    assert!(store.codes.lease("x", MINUTE).await.unwrap().is_none());
    bench.clock.advance(Duration::from_millis(1));
    let next = store.codes.lease("x", MINUTE).await.unwrap();
    assert!(next.is_some(), "its time is over");
    late.release().await;
    assert!(
        store.codes.lease("x", MINUTE).await.unwrap().is_none(),
        "the next one's lease stands"
    );
    bench.clock.advance(MINUTE * 2);
    store.codes.purge_leases(bench.now()).await.unwrap();
    assert!(store.codes.lease("x", MINUTE).await.unwrap().is_some());
}

async fn a_lease_that_is_dropped_is_given_back(bench: Bench) {
    let store = bench.replica().await;
    drop(store.codes.lease("x", MINUTE).await.unwrap().unwrap());
    eventually_async("the lease is free", || async {
        store.codes.lease("x", MINUTE).await.unwrap().is_some()
    })
    .await;
}

async fn a_lease_takes_the_longest_scene(bench: Bench) {
    let store = bench.replica().await;
    let name = format!("QR_STR_SCENE:Text({:?})", "\u{202e}".repeat(64));
    let held = store.codes.lease(&name, MINUTE).await.unwrap();
    assert!(held.is_some());
    assert!(store.codes.lease(&name, MINUTE).await.unwrap().is_none());
}

/// Takes one of a budget's mints of visitors.
async fn take_anonymous_mint(store: &Stores, budget: u64) -> Result<bool, Error> {
    let Some(lease) = begin_anonymous_mint(store, budget).await? else {
        return Ok(false);
    };
    // Dropped, it would be refunded.
    lease.release().await;
    Ok(true)
}

/// Begins one of a budget's mints of visitors, of a scene that no other mint is of.
pub(super) async fn begin_anonymous_mint(
    store: &Stores,
    budget: u64,
) -> Result<Option<Lease>, Error> {
    let scene = TemporaryScene::Text(Uuid::now_v7().to_string().parse().unwrap());
    let begin = BeginMint {
        scene: Scene::Temporary(scene),
        is_good_enough: Box::new(|_| false),
        length: MINUTE,
        budget: Some(budget),
    };
    match store.codes.begin_mint(begin).await?.grant {
        MintGrant::Granted { lease, .. } => Ok(Some(lease)),
        MintGrant::BudgetExhausted => Ok(None),
        // Others of the same moment have what is left.
        MintGrant::Leased => Err(Error::Busy),
        MintGrant::Needless => unreachable!("no code is good enough"),
    }
}

async fn refund(store: &Stores, lease: Lease) {
    let refund = FinishMint {
        lease: Some(lease),
        ..FinishMint::default()
    };
    store.codes.finish_mint(refund).await.unwrap();
}

async fn count(store: &Stores, mints: u64, anonymous: u64) -> Result<(), Error> {
    let count = FinishMint {
        uncounted: UncountedMints { mints, anonymous },
        ..FinishMint::default()
    };
    store.codes.finish_mint(count).await
}

async fn the_budget_is_never_passed(bench: Bench) {
    let stores = bench.replicas().await;
    let taken = crowd(100, &stores, |store| async move {
        take_anonymous_mint(&store, 30).await
    })
    .await;
    let taken = taken.into_iter().filter(|taken| *taken).count();
    assert!(taken <= 30, "{taken} taken");
    while take_anonymous_mint(&stores[0], 30).await.unwrap() {}
    assert_eq!(stores[1].codes.mints_today().await.unwrap().0, 30);
    assert!(!take_anonymous_mint(&stores[1], 0).await.unwrap());
}

async fn a_refund_can_be_spent_again_and_no_more_than_was_taken(bench: Bench) {
    let store = bench.replica().await;
    let lease = begin_anonymous_mint(&store, 1).await.unwrap().unwrap();
    assert!(!take_anonymous_mint(&store, 1).await.unwrap());
    refund(&store, lease).await;
    assert!(take_anonymous_mint(&store, 1).await.unwrap());
    assert!(!take_anonymous_mint(&store, 1).await.unwrap());

    // Charged yesterday, there is nothing to refund today.
    let lease = begin_anonymous_mint(&store, 2).await.unwrap().unwrap();
    bench.clock.advance(Duration::from_hours(16));
    refund(&store, lease).await;
    assert_eq!(store.codes.mints_today().await.unwrap().0, 0);
}

async fn a_result_that_is_written_again_counts_once(bench: Bench) {
    let [store, replica, _] = bench.replicas().await;
    let saved = for_a_while("saved", bench.now(), 60);
    let intent = granted(&store, &permanent("poster")).await;
    for store in [&store, &replica] {
        // The second time, as after a commit whose outcome was unknown.
        let minted = MintedCode {
            scene: temporary(1),
            code: Arc::new(saved.clone()),
            is_visitors: true,
        };
        let finish = FinishMint {
            minted: Some(minted),
            ..FinishMint::default()
        };
        store.codes.finish_mint(finish).await.unwrap();
        store
            .codes
            .confirm(&intent, &for_ever("kept"))
            .await
            .unwrap();
        assert_eq!(store.codes.mints_today().await.unwrap(), (1, 2));
    }
    for _ in 0..2 {
        let other = for_ever("other");
        let kept = store.codes.confirm(&intent, &other).await.unwrap();
        assert_eq!(kept.ticket.as_str(), "kept");
        assert_eq!(store.codes.mints_today().await.unwrap(), (1, 3));
    }
}

async fn a_known_ticket_counts_where_it_lives_longer(bench: Bench) {
    let store = bench.replica().await;
    for (scene, granted, mints) in [(1, 60, 1), (1, 60, 1), (1, 90, 2), (1, 60, 2), (2, 120, 2)] {
        let code = for_a_while("same", bench.now(), granted);
        store.codes.save(&temporary(scene), &code).await.unwrap();
        let counted = store.codes.mints_today().await.unwrap();
        assert_eq!(counted, (0, mints), "scene {scene}, {granted} s");
    }
}

async fn a_repeat_that_is_withdrawn_again_gives_one_attempt_back(bench: Bench) {
    let [store, replica, _] = bench.replicas().await;
    let scene = permanent("poster");
    granted(&store, &scene).await;
    // Three repeats are allowed, whatever is withdrawn.
    for _ in 0..3 {
        bench.clock.advance(MINUTE);
        let repeat = granted(&store, &scene).await;
        store.codes.withdraw(&repeat).await.unwrap();
        let repeat = granted(&store, &scene).await;
        for store in [&store, &replica, &store] {
            store.codes.withdraw(&repeat).await.unwrap();
        }
        granted(&replica, &scene).await;
    }
    bench.clock.advance(MINUTE);
    let over = store.codes.reserve(&scene, 100, None).await.unwrap();
    let is_over = matches!(over, ReserveOutcome::Pending { retry_after: None });
    assert!(is_over, "{over:?}");
}

async fn uncounted_mints_count_beyond_the_budget(bench: Bench) {
    let store = bench.replica().await;
    assert!(take_anonymous_mint(&store, 2).await.unwrap());
    count(&store, 0, 5).await.unwrap();
    count(&store, 6, 0).await.unwrap();
    assert_eq!(store.codes.mints_today().await.unwrap(), (6, 6));
    assert!(!take_anonymous_mint(&store, 2).await.unwrap());
}

async fn a_day_begins_at_midnight_in_china(bench: Bench) {
    let store = bench.replica().await;
    count(&store, 1, 0).await.unwrap();
    assert!(take_anonymous_mint(&store, 1).await.unwrap());
    bench
        .clock
        .advance(Duration::from_hours(16).saturating_sub(Duration::from_millis(1)));
    assert!(
        !take_anonymous_mint(&store, 1).await.unwrap(),
        "still today"
    );
    assert_eq!(store.codes.mints_today().await.unwrap(), (1, 1));
    bench.clock.advance(Duration::from_millis(1));
    assert_eq!(store.codes.mints_today().await.unwrap(), (0, 0));
    assert!(take_anonymous_mint(&store, 1).await.unwrap(), "midnight");
}

async fn one_of_many_probes_a_stopped_call(bench: Bench) {
    let stores = bench.replicas().await;
    assert_eq!(stores[0].codes.stop_of("create").await.unwrap(), None);
    let stop = Stop {
        errcode: 45009,
        next_probe: bench.now() + MINUTE,
    };
    stores[0].codes.stop_calls("create", stop).await.unwrap();
    assert_eq!(stores[1].codes.stop_of("create").await.unwrap(), Some(stop));
    assert_eq!(stores[1].codes.stop_of("token").await.unwrap(), None);
    let then = bench.now() + MINUTE * 2;
    let probes = crowd(30, &stores, |store| async move {
        store.codes.take_probe("create", stop, then).await
    })
    .await;
    assert_eq!(probes.iter().filter(|taken| **taken).count(), 1);
    assert_eq!(
        stores[2]
            .codes
            .stop_of("create")
            .await
            .unwrap()
            .unwrap()
            .next_probe,
        then
    );
    stores[2].codes.resume_calls("create").await.unwrap();
    assert_eq!(stores[0].codes.stop_of("create").await.unwrap(), None);
}

async fn a_refresh_is_forced_twenty_times_a_day_and_half_a_minute_apart(bench: Bench) {
    const APART: Duration = Duration::from_secs(30);
    let stores = bench.replicas().await;
    replicas_force_once(&bench).await;
    bench.clock.advance(Duration::from_hours(25));
    let take = |store: Stores| async move { store.codes.take_forced_refresh(20, APART).await };
    let taken = crowd(20, &stores, take).await;
    assert_eq!(
        taken.iter().filter(|taken| **taken).count(),
        1,
        "once at a time"
    );
    for n in 2..=20 {
        bench
            .clock
            .advance(APART.saturating_sub(Duration::from_millis(1)));
        assert!(
            !take(stores[0].clone()).await.unwrap(),
            "too soon for number {n}"
        );
        bench.clock.advance(Duration::from_millis(1));
        assert!(take(stores[n % 3].clone()).await.unwrap(), "number {n}");
    }
    bench.clock.advance(APART);
    assert!(!take(stores[0].clone()).await.unwrap(), "twenty are enough");
    bench
        .clock
        .advance(Duration::from_hours(24).saturating_sub(APART * 20));
    assert!(
        take(stores[0].clone()).await.unwrap(),
        "the first is a day old"
    );
}

/// Each by a clock of its own, so that no two of them write the same instant.
async fn replicas_force_once(bench: &Bench) {
    if bench.is_in_memory() {
        return;
    }
    let mut replicas = Vec::new();
    for n in 0..6 {
        let clock = ManualClock::starting_at(bench.now() + Duration::from_millis(n));
        let replica = open(&bench.database.url, APP_ID, "test", Arc::new(clock)).await;
        replicas.push(replica.unwrap());
    }
    let taken = crowd(6, &replicas, |store| async move {
        store
            .codes
            .take_forced_refresh(20, Duration::from_secs(30))
            .await
    })
    .await;
    let taken = taken.iter().filter(|taken| **taken).count();
    assert_eq!(taken, 1, "one of all replicas");
}

async fn replicas_share_a_classic_token(bench: Bench) {
    use secrecy::ExposeSecret as _;
    let [store, other, _] = bench.replicas().await;
    assert!(store.codes.classic_token().await.unwrap().is_none());
    for (token, end) in [("t1", bench.now() + MINUTE), ("t2", bench.now())] {
        store
            .codes
            .share_classic_token(&token.into(), end)
            .await
            .unwrap();
        let (shared, shared_end) = other.codes.classic_token().await.unwrap().unwrap();
        assert_eq!((shared.expose_secret(), shared_end), (token, end));
    }
}

async fn a_code_is_reserved_then_confirmed_then_known(bench: Bench) {
    let [store, other, _] = bench.replicas().await;
    let scene = permanent("poster");
    let intent = granted(&store, &scene).await;
    assert_eq!(
        store.codes.stock().await.unwrap(),
        Stock {
            used: 1,
            unknown: 1
        }
    );
    assert!(
        store
            .codes
            .find(&Scene::Permanent(scene.clone()))
            .await
            .unwrap()
            .is_none()
    );
    let listed = other
        .channels
        .list(&ChannelFilter::default(), Order::default(), None, 10)
        .await
        .unwrap();
    assert!(
        listed.items[0].code.is_none(),
        "an intent is listed without a code"
    );

    let kept = store.codes.confirm(&intent, &for_ever("t1")).await.unwrap();
    assert_eq!(kept.ticket.as_str(), "t1");
    assert_eq!(
        other.codes.stock().await.unwrap(),
        Stock {
            used: 1,
            unknown: 0
        }
    );
    match other.codes.reserve(&scene, 1, None).await.unwrap() {
        ReserveOutcome::Exists(code) => assert_eq!(code.ticket.as_str(), "t1"),
        unexpected => unreachable!("{unexpected:?}"),
    }
    let kept = other.codes.confirm(&intent, &for_ever("t2")).await.unwrap();
    assert_eq!(kept.ticket.as_str(), "t1", "the first result wins");
}

async fn a_withdrawn_intent_gives_its_stock_back(bench: Bench) {
    let [store, other, _] = bench.replicas().await;
    let scene = permanent("poster");
    let intent = granted(&store, &scene).await;
    store.codes.withdraw(&intent).await.unwrap();
    store.codes.withdraw(&intent).await.unwrap();
    assert_eq!(
        store.codes.stock().await.unwrap(),
        Stock {
            used: 0,
            unknown: 0
        }
    );
    let intent = granted(&other, &scene).await;
    other.codes.confirm(&intent, &for_ever("t1")).await.unwrap();
    store.codes.withdraw(&intent).await.unwrap();
    assert_eq!(
        store.codes.stock().await.unwrap(),
        Stock {
            used: 1,
            unknown: 0
        },
        "a code stays"
    );
}

async fn an_unknown_outcome_is_repeated_by_one_of_many_and_three_times_at_most(bench: Bench) {
    let stores = bench.replicas().await;
    let scene = &permanent("poster");
    let mut intents = vec![granted(&stores[0], scene).await];
    let pending = |reserved: &ReserveOutcome| match reserved {
        ReserveOutcome::Pending { retry_after } => *retry_after,
        other => unreachable!("{other:?}"),
    };
    for repeat in 1..=3 {
        bench
            .clock
            .advance(MINUTE.saturating_sub(Duration::from_secs(1)));
        let early = stores[1].codes.reserve(scene, 100, None).await.unwrap();
        assert_eq!(
            pending(&early),
            Some(Duration::from_secs(1)),
            "before repeat {repeat}"
        );
        bench.clock.advance(Duration::from_secs(1));
        let reserved = crowd(30, &stores, |store| async move {
            store.codes.reserve(scene, 100, None).await
        })
        .await;
        let (won, lost): (Vec<_>, Vec<_>) = reserved
            .into_iter()
            .partition(|r| matches!(r, ReserveOutcome::Granted(..)));
        assert_eq!(won.len(), 1, "repeat {repeat}");
        assert!(
            lost.iter().all(|lost| pending(lost) == Some(MINUTE)),
            "{lost:?}"
        );
        for won in won {
            if let ReserveOutcome::Granted(intent, _) = won {
                intents.push(intent);
            }
        }
        assert_eq!(
            stores[0].codes.stock().await.unwrap(),
            Stock {
                used: 1,
                unknown: 1
            }
        );
    }
    bench.clock.advance(MINUTE);
    let over = stores[1].codes.reserve(scene, 100, None).await.unwrap();
    assert_eq!(pending(&over), None, "no fourth repeat");

    for intent in &intents {
        stores[0].codes.withdraw(intent).await.unwrap();
    }
    let stock = stores[0].codes.stock().await.unwrap();
    assert_eq!(
        stock,
        Stock {
            used: 1,
            unknown: 1
        },
        "the calls before may have made a code"
    );
    assert!(
        matches!(
            stores[0].codes.reserve(scene, 100, None).await.unwrap(),
            ReserveOutcome::Granted(..)
        ),
        "a repeat that certainly made none is not counted"
    );
    let late = stores[2]
        .codes
        .confirm(&intents[0], &for_ever("late"))
        .await
        .unwrap();
    assert_eq!(late.ticket.as_str(), "late", "a late result ends the doubt");
}

async fn the_limit_holds_against_a_hundred_at_once(bench: Bench) {
    let stores = bench.replicas().await;
    let reserved = join_all((0..100_usize).map(|n| {
        let store = stores[n % 3].clone();
        async move {
            loop {
                match store
                    .codes
                    .reserve(&permanent(&format!("scene {n}")), 30, None)
                    .await
                {
                    Ok(reservation) => return reservation,
                    Err(Error::Timeout | Error::Busy | Error::Failed(_)) => {
                        tokio::task::yield_now().await;
                    }
                    Err(error) => unreachable!("{error}"),
                }
            }
        }
    }))
    .await;
    let refused = reserved
        .iter()
        .filter(|r| matches!(r, ReserveOutcome::Exhausted))
        .count();
    let stock = stores[0].codes.stock().await.unwrap();
    assert_eq!((stock.used, stock.unknown), (30, 30));
    assert_eq!(refused, 70);
}

async fn the_last_of_the_stock_is_reserved_by_many_for_one_scene(bench: Bench) {
    let stores = bench.replicas().await;
    for round in 1..=10 {
        let scene = &permanent(&format!("round {round}"));
        let reserved = crowd(12, &stores, |store| async move {
            store.codes.reserve(scene, round, None).await
        })
        .await;
        let granted = reserved
            .iter()
            .filter(|r| matches!(r, ReserveOutcome::Granted(..)))
            .count();
        let full = reserved
            .iter()
            .filter(|r| matches!(r, ReserveOutcome::Exhausted))
            .count();
        assert_eq!(
            full, 0,
            "round {round}: whoever comes second waits for the first"
        );
        assert!(granted <= 1, "round {round}");
        assert_eq!(stores[0].codes.stock().await.unwrap().used, round);
    }
}

async fn concurrent_imports_count_once(bench: Bench) {
    let stores = bench.replicas().await;
    for round in 1..=10 {
        let scene = &permanent(&format!("round {round}"));
        let reserving = crowd(6, &stores, |store| async move {
            store.codes.reserve(scene, 100, None).await
        });
        let importing = crowd(6, &stores, |store| async move {
            store
                .codes
                .import(scene, &for_ever(&Uuid::now_v7().to_string()), None)
                .await
        });
        let (_, imported) = tokio::join!(reserving, importing);
        let tickets: BTreeSet<_> = imported
            .iter()
            .filter_map(|one| match one {
                Imported::Conflict(ImportConflict::Scene(kept)) => Some(kept.ticket.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(tickets.len(), 1, "the first result wins");
        assert!(news(&imported) <= 1);
        assert_eq!(
            stores[0].codes.stock().await.unwrap(),
            Stock {
                used: round,
                unknown: 0
            }
        );
    }
    let new = stores[0]
        .codes
        .import(&permanent("11"), &for_ever("t11"), None)
        .await;
    assert!(matches!(new, Ok(Imported::New)));
    let full = stores[0]
        .codes
        .reserve(&permanent("12"), 11, None)
        .await
        .unwrap();
    assert!(matches!(full, ReserveOutcome::Exhausted), "imports count");
    stores[0]
        .codes
        .import(&permanent("13"), &for_ever("t13"), None)
        .await
        .unwrap();
    assert_eq!(
        stores[0].codes.stock().await.unwrap().used,
        12,
        "and exist beyond the limit"
    );
}

fn news(imported: &[Imported]) -> usize {
    let is_new = |one: &&Imported| matches!(one, Imported::New);
    imported.iter().filter(is_new).count()
}

/// One ticket for two scenes, one url for two, two tickets for one, each at two replicas at once.
async fn of_two_imports_that_contradict_each_other_one_is_recorded(bench: Bench) {
    let stores = bench.replicas().await;
    for round in 1..=20 {
        let name = |what: &str| format!("{what}{round}");
        let with_url = |ticket: &str, url: &str| IssuedCode {
            url: format!("http://weixin.qq.com/q/{url}").parse().unwrap(),
            ..for_ever(ticket)
        };
        let (a, b) = (permanent(&name("a")), permanent(&name("b")));
        let pair = match round % 3 {
            0 => [
                (a, with_url(&name("t"), &name("u"))),
                (b, with_url(&name("t"), &name("v"))),
            ],
            1 => [
                (a, with_url(&name("t"), &name("u"))),
                (b, with_url(&name("s"), &name("u"))),
            ],
            _ => [
                (a.clone(), with_url(&name("t"), &name("u"))),
                (a, with_url(&name("s"), &name("v"))),
            ],
        };
        let pair = &pair;
        let imported = join_all(pair.iter().zip(&stores).map(
            |((scene, code), store)| async move {
                loop {
                    if let Ok(imported) = store.codes.import(scene, code, None).await {
                        return imported;
                    }
                }
            },
        ))
        .await;
        assert_eq!(news(&imported), 1, "round {round}: {imported:?}");
        let is_conflict = |one: &Imported| matches!(one, Imported::Conflict(_));
        assert!(imported.iter().any(is_conflict), "{imported:?}");
        for ((scene, code), before) in pair.iter().zip(&imported) {
            let again = stores[2].codes.import(scene, code, None).await.unwrap();
            assert_eq!(
                is_conflict(&again),
                is_conflict(before),
                "a repeat: {again:?}"
            );
            assert!(!matches!(again, Imported::New), "{again:?}");
        }
        assert_eq!(stores[0].codes.stock().await.unwrap().used, round);
    }
}

/// A url that was a temporary code's is free once that has expired.
async fn the_url_of_an_expired_temporary_code_may_be_imported(bench: Bench) {
    let store = bench.replica().await;
    let url = |code: IssuedCode| IssuedCode {
        url: "https://weixin.qq.com/q/shared".parse().unwrap(),
        ..code
    };
    let lasting = url(for_a_while("temporary", bench.now(), 60));
    store.codes.save(&temporary(7), &lasting).await.unwrap();
    let import = || async {
        let imported = store
            .codes
            .import(&permanent("a"), &url(for_ever("t")), None)
            .await;
        imported.unwrap()
    };
    let imported = import().await;
    let owner = match imported {
        Imported::Conflict(ImportConflict::Url(owner)) => Some(owner),
        _ => None,
    };
    assert_eq!(owner, Some(temporary(7)));
    bench.clock.advance(Duration::from_secs(61));
    assert!(matches!(import().await, Imported::New));
}

async fn an_import_stays_when_an_intent_is_withdrawn_before_or_after_it(bench: Bench) {
    let [store, other, _] = bench.replicas().await;
    for round in 1..=100 {
        let scene = permanent(&format!("round {round}"));
        let intent = granted(&store, &scene).await;
        let ticket = format!("t{round}");
        let code = for_ever(&ticket);
        let (withdrawn, imported) = tokio::join!(
            store.codes.withdraw(&intent),
            other.codes.import(&scene, &code, None)
        );
        withdrawn.unwrap();
        imported.unwrap();
        let scene = Scene::Permanent(scene);
        assert_eq!(ticket_of(&store, &scene).await, Some(ticket));
        assert_eq!(
            store.codes.stock().await.unwrap(),
            Stock {
                used: round,
                unknown: 0
            }
        );
    }
}

async fn a_result_is_recorded_although_its_intent_is_gone(bench: Bench) {
    let store = bench.replica().await;
    let scene = permanent("poster");
    let intent = granted(&store, &scene).await;
    if bench.is_in_memory() {
        store.codes.withdraw(&intent).await.unwrap();
    } else {
        // As when a backup is put back.
        bench.database.run("DELETE FROM code").await;
        bench.database.run("DELETE FROM stock").await;
    }
    let kept = store.codes.confirm(&intent, &for_ever("t")).await.unwrap();
    assert_eq!(kept.ticket.as_str(), "t");
    let scene = Scene::Permanent(scene);
    assert_eq!(ticket_of(&store, &scene).await.as_deref(), Some("t"));
    let stock = store.codes.stock().await.unwrap();
    assert_eq!((stock.used, stock.unknown), (1, 0));
}

contract! { sqlite memory postgres pgbouncer: {
    a_code_is_found_as_it_was_saved,
    of_two_codes_the_later_minted_stays,
    only_expired_codes_are_purged_and_only_in_batches,
    a_lease_is_held_by_one,
    a_lease_ends_by_itself_and_is_then_not_its_holders,
    a_lease_that_is_dropped_is_given_back,
    a_lease_takes_the_longest_scene,
    the_budget_is_never_passed,
    a_refund_can_be_spent_again_and_no_more_than_was_taken,
    uncounted_mints_count_beyond_the_budget,
    a_day_begins_at_midnight_in_china,
    one_of_many_probes_a_stopped_call,
    a_refresh_is_forced_twenty_times_a_day_and_half_a_minute_apart,
    replicas_share_a_classic_token,
    a_code_is_reserved_then_confirmed_then_known,
    a_withdrawn_intent_gives_its_stock_back,
    a_repeat_that_is_withdrawn_again_gives_one_attempt_back,
    a_result_that_is_written_again_counts_once,
    a_known_ticket_counts_where_it_lives_longer,
    an_unknown_outcome_is_repeated_by_one_of_many_and_three_times_at_most,
    the_limit_holds_against_a_hundred_at_once,
    the_last_of_the_stock_is_reserved_by_many_for_one_scene,
    concurrent_imports_count_once,
    of_two_imports_that_contradict_each_other_one_is_recorded,
    the_url_of_an_expired_temporary_code_may_be_imported,
    an_import_stays_when_an_intent_is_withdrawn_before_or_after_it,
    a_result_is_recorded_although_its_intent_is_gone,
}}
