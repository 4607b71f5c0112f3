//! Strangers burn the day's quota, from as many addresses as they like.

use futures_util::stream::{self, StreamExt as _};
use reqwest::StatusCode;
use wechat_sandbox::Api;

use crate::support::answer::Answer;
use crate::support::database::Database;
use crate::support::figures::{Figures, grouped, millis, sized};
use crate::support::fleet::{Replica, Upstream};

/// How many strangers' requests are under way at once.
const ABREAST: usize = 32;

/// The attack and its limits.
struct Attack {
    scenes: usize,
    addresses: usize,
    budget: usize,
    keyed: usize,
}

/// The answers to strangers.
#[derive(Debug, Default)]
struct Outcomes {
    served: usize,
    over_budget: usize,
    over_rate: usize,
    /// By a service that has too much to do: what it says of itself then is true, and costs
    /// nothing.
    put_off: usize,
    others: Vec<Answer>,
}

impl Outcomes {
    fn note(mut self, answer: Answer) -> Self {
        if answer.status == StatusCode::OK {
            self.served += 1;
            return self;
        }
        match answer.problem() {
            (429, code) if code == "budget_exhausted" => self.over_budget += 1,
            (429, code) if code == "rate_limited" => self.over_rate += 1,
            (503 | 504, _) => self.put_off += 1,
            _ => self.others.push(answer),
        }
        self
    }
}

/// The `n`th address behind the proxy: half of them IPv4, half of them IPv6 networks.
fn address(n: usize) -> String {
    let number = u32::try_from(n / 2).unwrap();
    if n.is_multiple_of(2) {
        std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).to_string()
    } else {
        format!("2001:db8:{:x}:{:x}::1", number >> 16, number & 0xffff)
    }
}

async fn strangers(replicas: &[Replica], attack: &Attack) -> Outcomes {
    let asking = (0..attack.scenes).map(|n| {
        let request =
            replicas[n % replicas.len()].request(&format!("/qrcode.json?scene_str=burn-{n}"));
        // Several addresses at a time, and each at both replicas.
        let from = address(n / replicas.len() % attack.addresses);
        Answer::to(request.header("x-forwarded-for", from))
    });
    stream::iter(asking)
        .buffer_unordered(ABREAST)
        .fold(Outcomes::default(), async |outcomes, answer| {
            outcomes.note(answer)
        })
        .await
}

async fn owner(replicas: &[Replica], attack: &Attack) -> Vec<Answer> {
    let mut answers = Vec::new();
    for n in 0..attack.keyed {
        let path = format!("/qrcode.json?scene_str=owner-{n}");
        answers.push(replicas[n % replicas.len()].keyed(&path).await);
    }
    answers.sort_by_key(|answer| answer.took);
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_spend_the_budget_and_no_more_while_keys_are_served() {
    let attack = sized(
        Attack {
            scenes: 5000,
            addresses: 100,
            budget: 500,
            keyed: 100,
        },
        Attack {
            scenes: 100_000,
            addresses: 1000,
            budget: 10_000,
            keyed: 1000,
        },
    );
    let (database, engine) = Database::shared().await;
    let upstream = Upstream::spawn().await;
    let budget = attack.budget.to_string();
    let settings = [
        ("ANONYMOUS_BUDGET", budget.as_str()),
        ("VISITOR_RATE", "30/1m"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
        // Checked is which requests are served, not the speed of this machine.
        ("UPSTREAM_TIMEOUT", "30s"),
    ];
    let replicas = [
        upstream.replica(&database.url, &settings).await,
        upstream.replica(&database.url, &settings).await,
    ];
    let (outcomes, owners) = tokio::join!(strangers(&replicas, &attack), owner(&replicas, &attack));
    for replica in replicas {
        replica.process.signal("TERM");
        // Mints without a waiting caller are finished first.
        assert_eq!(replica.process.output().await.status, 0);
    }
    let creates = upstream.sandbox.count(Api::Create);

    assert!(outcomes.others.is_empty(), "{:?}", outcomes.others.first());
    let refused = owners
        .iter()
        .filter(|answer| answer.status != StatusCode::OK);
    let refused: Vec<_> = refused.collect();
    assert!(refused.is_empty(), "{:?}", refused.first());
    assert!(
        outcomes.over_budget > 0,
        "the budget came to its end: {outcomes:?}"
    );
    assert!(
        creates <= attack.budget + attack.keyed,
        "{creates} creates: {outcomes:?}"
    );

    let mut figures = Figures::of(format!(
        "Strangers ask for {} different scenes from {} addresses, at two replicas on {engine}",
        grouped(attack.scenes),
        grouped(attack.addresses)
    ));
    figures.at_most("codes made for them", attack.budget, creates - attack.keyed);
    let turned_away = [
        (outcomes.over_budget, "by the budget"),
        (outcomes.over_rate, "by the rate"),
        (outcomes.put_off, "put off with 503 or 504"),
    ];
    let turned_away = turned_away.map(|(number, why)| format!("{} {why}", grouped(number)));
    figures.report("turned away", turned_away.join(", "));
    figures.exactly(
        &format!(
            "of {} new codes for a key meanwhile, refused",
            grouped(attack.keyed)
        ),
        0,
        refused.len(),
    );
    let took = |share: usize| millis(owners[owners.len() * share / 100].took);
    figures.report(
        "what the key waited for each, p50 and p99",
        format!("{}, {}", took(50), took(99)),
    );
}
