//! What the database promises about names, archived codes and lists, against each engine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use wechat::push::Reply;
use wechat::scene::{Scene, SceneText, TemporaryScene};
use wxqr::app::Stores;
use wxqr::channels::{
    Change, Channel, ChannelChange, ChannelFilter, ChannelRecord, Group, ListedCode, Order,
    OrderKey,
};
use wxqr::codes::ReserveOutcome;

use super::contract::{
    APP_ID, Bench, MINUTE, contract, for_a_while, for_ever, permanent, temporary,
};

fn names(label: Option<&str>, group: Option<&str>) -> Channel {
    Channel {
        label: label.map(str::to_owned),
        group: group.map(str::to_owned),
    }
}

fn archived(is_archived: bool) -> ChannelChange {
    ChannelChange {
        archived: Some(is_archived),
        ..ChannelChange::default()
    }
}

fn searching(text: &str) -> ChannelFilter {
    ChannelFilter {
        search: Some(text.to_owned()),
        ..ChannelFilter::default()
    }
}

fn order(key: OrderKey, reversed: bool) -> Order {
    Order { key, reversed }
}

fn orders() -> impl Iterator<Item = Order> {
    let keys = [OrderKey::Scene, OrderKey::Label, OrderKey::Created];
    let both = |key| [false, true].map(|reversed| Order { key, reversed });
    keys.into_iter().flat_map(both)
}

async fn name(store: &Stores, scene: &Scene, label: Option<&str>, group: Option<&str>) {
    let change = ChannelChange::naming(label, group);
    store.channels.change(scene, &change).await.unwrap();
}

/// A permanent code that exists.
async fn poster(store: &Stores, scene: &str) -> Scene {
    let scene = permanent(scene);
    let code = for_ever(&format!("t-{:x}", hash(&format!("{scene:?}"))));
    store.codes.import(&scene, &code, None).await.unwrap();
    Scene::Permanent(scene)
}

/// Of a text, for a ticket that has its letters.
fn hash(text: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

async fn names_replace_where_given_and_stay_where_absent(bench: Bench) {
    let [store, other, _] = bench.replicas().await;
    let scene = temporary(7);
    let set = |name: &str| Change::Set(name.to_owned());
    let (keep, clear) = (Change::Keep, Change::Clear);
    for (label, group, want) in [
        (keep.clone(), keep.clone(), names(None, None)),
        (set("a"), keep.clone(), names(Some("a"), None)),
        (keep.clone(), set("g"), names(Some("a"), Some("g"))),
        (set("展会"), keep.clone(), names(Some("展会"), Some("g"))),
        (keep.clone(), keep.clone(), names(Some("展会"), Some("g"))),
        (clear.clone(), keep.clone(), names(None, Some("g"))),
        (set("b"), clear.clone(), names(Some("b"), None)),
        (clear.clone(), clear.clone(), names(None, None)),
    ] {
        let change = ChannelChange {
            label,
            group,
            ..ChannelChange::default()
        };
        let changed = store.channels.change(&scene, &change).await.unwrap();
        assert_eq!(changed.channel, want, "{change:?}");
        let found = other.channels.find(&scene).await.unwrap();
        assert_eq!(found.channel, want);
    }
    let unknown = store.channels.find(&temporary(8)).await.unwrap();
    assert_eq!(unknown, ChannelRecord::default());
}

async fn a_reply_replaces_stays_is_listed_and_is_cleared(bench: Bench) {
    let [store, other, _] = bench.replicas().await;
    let scene = poster(&store, "shop").await;
    let text: Reply = serde_json::from_str(r#"{"text":"欢迎\n]]>"}"#).unwrap();
    let card = r#"{"news":{"title":"Sale","url":"https://example.com/"}}"#;
    let card: Reply = serde_json::from_str(card).unwrap();
    for (reply, want) in [
        (Change::Keep, None),
        (Change::Set(text.clone()), Some(&text)),
        (Change::Keep, Some(&text)),
        (Change::Set(card.clone()), Some(&card)),
        (Change::Clear, None),
        (Change::Set(text.clone()), Some(&text)),
    ] {
        let change = ChannelChange {
            reply,
            ..ChannelChange::naming(Some("Shop"), None)
        };
        let changed = store.channels.change(&scene, &change).await.unwrap();
        assert_eq!(changed.reply.as_ref(), want, "{change:?}");
        let found = other.channels.find(&scene).await.unwrap();
        assert_eq!(found.reply.as_ref(), want);
        let listed = walk(&other, &ChannelFilter::default(), Order::default(), 1).await;
        assert_eq!(listed[0].record.reply.as_ref(), want);
        let known = other.channels.known_scenes(std::slice::from_ref(&scene));
        assert_eq!(known.await.unwrap()[&scene].reply.as_ref(), want);
    }
    name(&store, &scene, Some("Other"), None).await;
    let found = store.channels.find(&scene).await.unwrap();
    assert_eq!(found.reply, Some(text), "another name leaves it");
}

async fn an_archived_code_is_in_its_own_lists_only(bench: Bench) {
    let store = bench.replica().await;
    let scene = poster(&store, "old").await;
    poster(&store, "new").await;
    let changed = store.channels.change(&scene, &archived(true)).await;
    assert!(changed.unwrap().archived);
    name(&store, &scene, Some("Old"), None).await;
    assert!(store.channels.find(&scene).await.unwrap().archived);
    for (filter, want) in [
        (Some(false), vec!["new"]),
        (Some(true), vec!["old"]),
        (None, vec!["new", "old"]),
    ] {
        let filter = ChannelFilter {
            archived: filter,
            ..ChannelFilter::default()
        };
        assert_eq!(scenes(&store, &filter).await, want);
        let count = store.channels.count(&filter).await.unwrap();
        assert_eq!(count, want.len() as u64);
    }
    assert!(store.codes.find(&scene).await.unwrap().is_some());
    store
        .channels
        .change(&scene, &archived(false))
        .await
        .unwrap();
    let all = scenes(&store, &ChannelFilter::default()).await;
    assert_eq!(all, ["new", "old"]);
}

async fn names_and_the_archive_outlive_a_temporary_code(bench: Bench) {
    let store = bench.replica().await;
    let scene = temporary(7);
    store
        .codes
        .save(&scene, &for_a_while("first", bench.now(), 60))
        .await
        .unwrap();
    name(&store, &scene, Some("Screen 7"), Some("South")).await;
    store
        .channels
        .change(&scene, &archived(true))
        .await
        .unwrap();
    let later = bench.now() + MINUTE * 2;
    assert_eq!(store.codes.purge_expired(later).await.unwrap(), 1);
    let found = store.channels.find(&scene).await.unwrap();
    assert_eq!((found.created_at, found.archived), (None, true));

    store
        .codes
        .save(&scene, &for_a_while("second", later, 3600))
        .await
        .unwrap();
    for (filter, want) in [
        (searching("screen"), 1),
        (searching("south"), 1),
        (
            ChannelFilter {
                group: Some("South".to_owned()),
                archived: Some(true),
                ..ChannelFilter::default()
            },
            1,
        ),
        (
            ChannelFilter {
                archived: Some(false),
                ..ChannelFilter::default()
            },
            0,
        ),
    ] {
        let listed = walk(&store, &filter, Order::default(), 10).await;
        assert_eq!(listed.len(), want, "{filter:?}");
    }
}

async fn a_renewed_code_keeps_the_time_of_its_creation(bench: Bench) {
    let store = bench.replica().await;
    let (scene, first) = (temporary(7), bench.now());
    for minutes in [0, 10, 20] {
        let minted_at = first + MINUTE * minutes;
        let code = for_a_while(&format!("t{minutes}"), minted_at, 3600);
        store.codes.save(&scene, &code).await.unwrap();
    }
    let found = store.channels.find(&scene).await.unwrap();
    assert_eq!(found.created_at, Some(first));
}

async fn a_permanent_code_has_the_name_of_the_key_that_made_it(bench: Bench) {
    let store = bench.replica().await;
    let shop = Some("shop".into());
    let minted = permanent("minted");
    let reserved = store.codes.reserve(&minted, 10, shop.clone()).await;
    let Ok(ReserveOutcome::Granted(intent, _)) = reserved else {
        unreachable!("{reserved:?}");
    };
    let reserved_at = bench.now();
    bench.clock.advance(Duration::from_secs(3));
    store.codes.confirm(&intent, &for_ever("t1")).await.unwrap();
    // After a restore the intent may be gone.
    let restored = permanent("restored");
    let reserved = store.codes.reserve(&restored, 10, shop.clone()).await;
    let Ok(ReserveOutcome::Granted(intent, _)) = reserved else {
        unreachable!("{reserved:?}");
    };
    store.codes.withdraw(&intent).await.unwrap();
    store.codes.confirm(&intent, &for_ever("t2")).await.unwrap();
    let imported = permanent("imported");
    let (code, office) = (for_ever("t3"), Some("office".into()));
    store.codes.import(&imported, &code, office).await.unwrap();
    for (scene, at, by) in [
        (minted, reserved_at, "shop"),
        (restored, bench.now(), "shop"),
        (imported, bench.now(), "office"),
    ] {
        let found = store.channels.find(&Scene::Permanent(scene)).await.unwrap();
        assert_eq!(found.created_at, Some(at));
        assert_eq!(found.created_by.as_deref(), Some(by));
    }
    let scene = temporary(1);
    let code = for_a_while("t4", bench.now(), 60);
    store.codes.save(&scene, &code).await.unwrap();
    let found = store.channels.find(&scene).await.unwrap();
    assert_eq!(found.created_by, None);
}

/// Forty temporary codes, forty permanent ones of which some have names, and an expired one. Gives
/// the scenes that live.
async fn stock_up(bench: &Bench, store: &Stores) -> BTreeSet<String> {
    let mut scenes = BTreeSet::new();
    for n in 1..=40 {
        let scene = temporary(n);
        scenes.insert(format!("{scene:?}"));
        let code = for_a_while("t", bench.now(), 60);
        store.codes.save(&scene, &code).await.unwrap();

        let first = ["a", "B", "-", "é"][n as usize % 4];
        let scene = poster(store, &format!("{first}展 {n}")).await;
        scenes.insert(format!("{scene:?}"));
        let label = (n % 4 == 0).then_some("four");
        let group = (n % 2 == 0).then_some("even");
        name(store, &scene, label, group).await;
    }
    let expired = for_a_while("t", bench.now() - MINUTE, 60);
    store.codes.save(&temporary(1000), &expired).await.unwrap();
    // Codes of bindings are in no list.
    let binding = Scene::Temporary(TemporaryScene::Text(SceneText::reserved("login")));
    let code = for_a_while("t", bench.now(), 60);
    store.codes.save(&binding, &code).await.unwrap();
    scenes
}

async fn the_pages_of_a_list_are_the_whole_list(bench: Bench) {
    let store = bench.replica().await;
    let scenes = stock_up(&bench, &store).await;
    for order in orders() {
        for limit in [1, 7, 79, 80, 1000] {
            let walked = walk(&store, &ChannelFilter::default(), order, limit).await;
            assert_eq!(walked.len(), 80, "limit {limit}: none twice, none expired");
            let walked = walked.iter().map(|one| format!("{:?}", one.scene));
            let walked: BTreeSet<_> = walked.collect();
            assert_eq!(walked, scenes, "{order:?}, limit {limit}");
        }
    }
}

async fn a_list_is_filtered_by_all_that_is_given(bench: Bench) {
    let store = bench.replica().await;
    stock_up(&bench, &store).await;
    for (label, group, permanent, scene, want) in [
        (Some("four"), None, None, None, 10),
        (None, Some("even"), None, None, 20),
        (Some("four"), Some("even"), None, None, 10),
        (None, Some("even"), Some(false), None, 0),
        (None, None, Some(true), None, 40),
        (None, None, Some(false), None, 40),
        (None, None, None, None, 80),
        (None, None, None, Some("id:7"), 1),
        (None, None, None, Some("str:7"), 0),
        (None, None, None, Some("str:B展 1"), 1),
        (Some("fou_"), None, None, None, 0),
        (Some("Four"), None, None, None, 0),
        (None, Some("EVEN"), None, None, 0),
    ] {
        let filter = ChannelFilter {
            label: label.map(str::to_owned),
            group: group.map(str::to_owned),
            permanent,
            scenes: scene.iter().map(|scene| scene.parse().unwrap()).collect(),
            ..ChannelFilter::default()
        };
        for order in orders() {
            let walked = walk(&store, &filter, order, 3).await;
            assert_eq!(walked.len(), want, "{filter:?}, {order:?}");
        }
        let count = store.channels.count(&filter).await.unwrap();
        assert_eq!(count, want as u64, "{filter:?}");
    }
}

async fn a_search_finds_parts_of_names_and_scenes_in_any_case(bench: Bench) {
    let store = bench.replica().await;
    for (scene, label, group) in [
        ("poster-1", Some("Straße 50%"), Some("上海 Nord")),
        ("Poster_2", Some("ÉCOLE"), None),
        ("7", None, Some("ΟΔΟΣ")),
        ("ЁЛКА", None, None),
        ("plain", Some("a!b\\c"), None),
    ] {
        let scene = poster(&store, scene).await;
        name(&store, &scene, label, group).await;
    }
    for (text, want) in [
        ("POSTER", vec!["Poster_2", "poster-1"]),
        ("strasse", vec!["poster-1"]),
        ("école", vec!["Poster_2"]),
        ("οδος", vec!["7"]),
        ("ёлка", vec!["ЁЛКА"]),
        ("上海", vec!["poster-1"]),
        ("海 nord", vec!["poster-1"]),
        ("7", vec!["7"]),
        ("%", vec!["poster-1"]),
        ("_", vec!["Poster_2"]),
        ("!", vec!["plain"]),
        ("\\", vec!["plain"]),
        ("p%", vec![]),
        ("oster_1", vec![]),
        ("50%上", vec![]),
        ("nothing", vec![]),
    ] {
        let want: BTreeSet<_> = want.into_iter().map(str::to_owned).collect();
        let found: BTreeSet<_> = scenes(&store, &searching(text)).await.into_iter().collect();
        assert_eq!(found, want, "{text:?}");
    }
    let scene = poster(&store, "7").await;
    let clear = ChannelChange {
        group: Change::Clear,
        ..ChannelChange::default()
    };
    store.channels.change(&scene, &clear).await.unwrap();
    assert!(scenes(&store, &searching("οδος")).await.is_empty());
}

async fn labels_are_in_natural_order_and_codes_without_one_are_last(bench: Bench) {
    let store = bench.replica().await;
    let labels = ["Poster 1", "poster 2", "Poster 10", "展会 2", "展会 10"];
    for (scene, label) in ["e", "d", "c", "b", "a"].into_iter().zip(labels) {
        let scene = poster(&store, scene).await;
        name(&store, &scene, Some(label), None).await;
    }
    for scene in ["y", "z"] {
        poster(&store, scene).await;
    }
    for (reversed, want) in [
        (false, ["e", "d", "c", "b", "a", "y", "z"]),
        (true, ["a", "b", "c", "d", "e", "z", "y"]),
    ] {
        for limit in [1, 2, 5, 100] {
            let all = ChannelFilter::default();
            let listed = walk(&store, &all, order(OrderKey::Label, reversed), limit).await;
            let listed = listed.iter().map(|one| one.scene.value().to_string());
            let listed: Vec<_> = listed.collect();
            assert_eq!(listed, want, "reversed: {reversed}, limit {limit}");
        }
    }
}

async fn groups_are_counted_as_they_are_listed(bench: Bench) {
    let store = bench.replica().await;
    stock_up(&bench, &store).await;
    let scene = poster(&store, "alone").await;
    name(&store, &scene, None, Some("北")).await;
    store
        .channels
        .change(&scene, &archived(true))
        .await
        .unwrap();
    let group = |name: &str, codes| Group {
        name: name.to_owned(),
        codes,
    };
    for (archived, want) in [
        (Some(false), vec![group("even", 20)]),
        (Some(true), vec![group("北", 1)]),
        (None, vec![group("even", 20), group("北", 1)]),
    ] {
        let filter = ChannelFilter {
            archived,
            ..ChannelFilter::default()
        };
        assert_eq!(store.channels.groups(&filter).await.unwrap(), want);
    }
}

async fn scenes_that_are_numbers_are_in_their_order(bench: Bench) {
    let store = bench.replica().await;
    let ids = [100, 9, 10, 1, 99_999, 2, 11];
    for id in ids {
        let code = for_a_while(&format!("t{id}"), bench.now(), 60);
        store.codes.save(&temporary(id), &code).await.unwrap();
    }
    for text in ["10", "9"] {
        poster(&store, text).await;
    }
    // Permanent ones first.
    let mut want = ["9", "10", "1", "2", "9", "10", "11", "100", "99999"].map(str::to_owned);
    for reversed in [false, true] {
        for limit in [1, 2, 100] {
            let order = order(OrderKey::Scene, reversed);
            let listed = walk(&store, &ChannelFilter::default(), order, limit).await;
            let listed: Vec<_> = listed
                .iter()
                .map(|one| one.scene.value().to_string())
                .collect();
            assert_eq!(listed, want, "reversed {reversed}, limit {limit}");
        }
        want.reverse();
    }
}

async fn scenes_are_known_by_themselves_and_by_their_names(bench: Bench) {
    let store = bench.replica().await;
    let named = poster(&store, "named").await;
    name(&store, &named, Some("海报 7"), Some("上海")).await;
    let nameless = poster(&store, "nameless").await;
    let passing = temporary(7);
    let code = for_a_while("t7", bench.now(), 60);
    store.codes.save(&passing, &code).await.unwrap();
    name(&store, &passing, Some("海报 7"), None).await;
    let past = temporary(8);
    let code = for_a_while("t8", bench.now() - MINUTE, 60);
    store.codes.save(&past, &code).await.unwrap();
    name(&store, &past, Some("past"), None).await;
    let absent = temporary(9);

    let asked = [&named, &nameless, &passing, &past, &absent].map(Clone::clone);
    // More than one statement takes.
    let more = (1000..1250).map(temporary);
    let asked: Vec<_> = asked.into_iter().chain(more).collect();
    let known = store.channels.known_scenes(&asked).await.unwrap();
    let known_as = |scene: &Scene| {
        let known = known.get(scene)?;
        Some((known.channel.clone(), known.has_code, known.counts))
    };
    assert_eq!(
        known_as(&named),
        Some((names(Some("海报 7"), Some("上海")), true, true))
    );
    assert_eq!(known_as(&nameless), Some((names(None, None), true, true)));
    assert_eq!(
        known_as(&passing),
        Some((names(Some("海报 7"), None), true, false))
    );
    assert_eq!(
        known_as(&past),
        Some((names(Some("past"), None), false, false))
    );
    assert_eq!(known.len(), 4);

    let labels: Vec<_> = (0..250).map(|n| format!("nobody {n}")).collect();
    let labels = labels.iter().map(String::as_str);
    // Another label of the same order, and one whose code is over.
    let labels: Vec<_> = labels.chain(["海报 7", "海报 07", "past"]).collect();
    let found = store.channels.scenes_named(&labels).await.unwrap();
    let label = || "海报 7".to_owned();
    assert_eq!(found.get(&(label(), true)), Some(&named));
    assert_eq!(found.get(&(label(), false)), Some(&passing));
    assert_eq!(found.len(), 2);
}

/// Codes as their owner may have named them: often alike.
fn random_codes() -> impl Strategy<Value = BTreeMap<String, RandomCode>> {
    let name = || proptest::option::of("[aA海1]{1,2}");
    let code = (name(), name(), any::<bool>(), 0..3_u32);
    let code = code.prop_map(|(label, group, is_archived, minute)| RandomCode {
        label,
        group,
        is_archived,
        minute,
    });
    proptest::collection::btree_map("[aB1]{1,3}", code, 1..25)
}

#[derive(Debug, Clone)]
struct RandomCode {
    label: Option<String>,
    group: Option<String>,
    is_archived: bool,
    minute: u32,
}

impl RandomCode {
    fn is_in(&self, scene: &str, filter: &ChannelFilter) -> bool {
        let lower = |text: &str| text.to_lowercase();
        let names = [Some(scene), self.label.as_deref(), self.group.as_deref()];
        let has = |search: &String| {
            let mut names = names.iter().flatten();
            names.any(|name| lower(name).contains(&lower(search)))
        };
        let is_in_group = |group: &String| self.group.as_ref() == Some(group);
        filter.search.as_ref().is_none_or(has)
            && filter.group.as_ref().is_none_or(is_in_group)
            && filter.archived.is_none_or(|want| want == self.is_archived)
    }
}

async fn every_order_and_filter_lists_each_code_once(bench: Bench) {
    let mut runner = TestRunner::default();
    // One in memory cannot be emptied.
    let rounds = if bench.is_in_memory() { 1 } else { 4 };
    for round in 0..rounds {
        let codes = random_codes().new_tree(&mut runner).unwrap().current();
        if round > 0 {
            for table in ["code", "channel", "ticket"] {
                bench.database.run(&format!("DELETE FROM {table}")).await;
            }
        }
        for (scene, code) in &codes {
            let created_at = bench.now() + MINUTE * code.minute;
            let scene = Scene::new(wechat::scene::Kind::QrStrScene, scene).unwrap();
            let ticket = for_a_while(
                &format!("t{scene:?}").replace(|it: char| !it.is_ascii_alphanumeric(), "_"),
                created_at,
                7200,
            );
            bench.store.codes.save(&scene, &ticket).await.unwrap();
            name(
                &bench.store,
                &scene,
                code.label.as_deref(),
                code.group.as_deref(),
            )
            .await;
            let change = archived(code.is_archived);
            bench.store.channels.change(&scene, &change).await.unwrap();
        }
        for filter in [
            ChannelFilter::default(),
            searching("A"),
            searching("海"),
            searching("1"),
            ChannelFilter {
                group: Some("a".to_owned()),
                ..ChannelFilter::default()
            },
            ChannelFilter {
                archived: Some(false),
                ..searching("a")
            },
            ChannelFilter {
                archived: Some(true),
                ..ChannelFilter::default()
            },
        ] {
            let want: BTreeSet<_> = codes
                .iter()
                .filter(|(scene, code)| code.is_in(scene, &filter))
                .map(|(scene, _)| scene.clone())
                .collect();
            let count = bench.store.channels.count(&filter).await.unwrap();
            assert_eq!(count, want.len() as u64, "{filter:?} of {codes:?}");
            for key in [OrderKey::Scene, OrderKey::Label, OrderKey::Created] {
                let mut orders = Vec::new();
                for reversed in [false, true] {
                    for limit in [1, 4, 100] {
                        let listed = walk(&bench.store, &filter, order(key, reversed), limit).await;
                        assert_in_order(&listed, key, reversed);
                        let listed = listed.iter().map(|one| one.scene.value().to_string());
                        orders.push(listed.collect::<Vec<_>>());
                    }
                    let [one, four, all] = &orders[orders.len() - 3..] else {
                        unreachable!("three were listed");
                    };
                    assert!(one == four && four == all, "{filter:?} of {codes:?}");
                    assert_eq!(all.len(), want.len(), "{filter:?} of {codes:?}");
                    let listed: BTreeSet<_> = all.iter().cloned().collect();
                    assert_eq!(listed, want, "{filter:?} of {codes:?}");
                }
            }
        }
    }
}

/// Compares what both engines compare alike.
fn assert_in_order(listed: &[ListedCode], key: OrderKey, reversed: bool) {
    let pairs = listed.iter().zip(listed.iter().skip(1));
    for (one, next) in pairs {
        let (one, next) = (&one.record, &next.record);
        let label = |record: &ChannelRecord| {
            let label = record.channel.label.as_ref();
            label.map(|label| label.to_lowercase())
        };
        let is_in_order = match key {
            OrderKey::Scene => true,
            OrderKey::Created if reversed => one.created_at >= next.created_at,
            OrderKey::Created => one.created_at <= next.created_at,
            OrderKey::Label => match (label(one), label(next)) {
                (_, None) => true,
                (None, Some(_)) => false,
                // Of labels with few digits the longer number is the larger one.
                (Some(one), Some(next)) if one.contains('1') || next.contains('1') => true,
                (Some(one), Some(next)) if reversed => one >= next,
                (Some(one), Some(next)) => one <= next,
            },
        };
        assert!(
            is_in_order,
            "{key:?}, reversed {reversed}: {one:?}, {next:?}"
        );
    }
}

async fn names_of_an_older_version_are_found(bench: Bench) {
    if bench.is_in_memory() {
        return;
    }
    let database = &bench.database;
    database
        .run("DELETE FROM about WHERE name = 'search_keys'")
        .await;
    for (n, label, group) in [
        (1, "'Straße 1'", "NULL"),
        (2, "NULL", "'ÉCOLE'"),
        (3, "NULL", "NULL"),
    ] {
        let insert = format!(
            "INSERT INTO code (appid, kind, scene, ticket, url, minted_at)
               VALUES ('{APP_ID}', 'QR_LIMIT_STR_SCENE', 'ÜBER {n}', 't{n}', 'http://weixin.qq.com/q/{n}', 0);
             INSERT INTO channel (appid, kind, scene, label, group_name)
               VALUES ('{APP_ID}', 'QR_LIMIT_STR_SCENE', 'ÜBER {n}', {label}, {group})"
        );
        for statement in insert.split(';') {
            database.run(statement).await;
        }
    }
    let store = bench.replica().await;
    for (text, want) in [
        ("strasse", vec!["ÜBER 1"]),
        ("école", vec!["ÜBER 2"]),
        ("über", vec!["ÜBER 1", "ÜBER 2", "ÜBER 3"]),
    ] {
        assert_eq!(scenes(&store, &searching(text)).await, want, "{text}");
    }
    let all = ChannelFilter::default();
    let by_label = walk(&store, &all, order(OrderKey::Label, false), 1).await;
    assert_eq!(by_label.len(), 3);
    assert_eq!(by_label[0].record.channel, names(Some("Straße 1"), None));
}

/// The scenes of a list.
async fn scenes(store: &Stores, filter: &ChannelFilter) -> Vec<String> {
    let listed = walk(store, filter, Order::default(), 100).await;
    let scenes = listed.iter().map(|one| one.scene.value().to_string());
    scenes.collect()
}

/// All pages of a list.
async fn walk(store: &Stores, filter: &ChannelFilter, order: Order, limit: u16) -> Vec<ListedCode> {
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = store.channels.list(filter, order, after.as_ref(), limit);
        let page = page.await.unwrap();
        assert!(page.items.len() <= limit.into());
        listed.extend(page.items);
        after = page.next;
        if after.is_none() {
            return listed;
        }
    }
}

contract! { sqlite memory postgres pgbouncer: {
    names_replace_where_given_and_stay_where_absent,
    a_reply_replaces_stays_is_listed_and_is_cleared,
    an_archived_code_is_in_its_own_lists_only,
    names_and_the_archive_outlive_a_temporary_code,
    a_renewed_code_keeps_the_time_of_its_creation,
    a_permanent_code_has_the_name_of_the_key_that_made_it,
    the_pages_of_a_list_are_the_whole_list,
    a_list_is_filtered_by_all_that_is_given,
    a_search_finds_parts_of_names_and_scenes_in_any_case,
    labels_are_in_natural_order_and_codes_without_one_are_last,
    groups_are_counted_as_they_are_listed,
    every_order_and_filter_lists_each_code_once,
    names_of_an_older_version_are_found,
    scenes_that_are_numbers_are_in_their_order,
    scenes_are_known_by_themselves_and_by_their_names,
}}
