//! Processes that work off deliveries are killed again and again while orders come in: nothing is lost, nothing is done
//! twice.
//!
//! What must be in the database at the end is computed here, one order after another, by the rules of the business: an
//! order gets everything it asks for, or nothing, and then what is missing is noted. Each customer has items of their
//! own, and the orders of a customer are in order, so it does not matter who of the processes is where.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use erp_plugin_tests::{Database, Platform, TENANT, guests, on_postgres, system_of};
use serde_json::{Value as Json, json};

/// How often a process is killed, at least.
const KILLS: u32 = 50;
/// How many orders there are, at least.
const ORDERS: u64 = 1000;
const CUSTOMERS: u64 = 12;
const ITEMS_OF_ONE: u64 = 3;
/// So few that orders run short long before the last.
const ON_HAND: i64 = 40;
/// The seed of a run that is to be repeated.
const SEED: &str = "ERP_PLUGIN_CRASH_SEED";

/// Numbers that look random, and are the same for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut next = self.0;
        next = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        next = (next ^ (next >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (next ^ (next >> 31)) % bound
    }
}

/// What must be there at the end.
#[derive(Debug, Default, PartialEq)]
struct Books {
    on_hand: BTreeMap<String, i64>,
    /// By order and item, each with what left the stock.
    movements: BTreeMap<(String, String), Vec<i64>>,
    /// By order and item, each with what was missing.
    backorders: BTreeMap<(String, String), Vec<i64>>,
    /// Of each order, what was said about it.
    said: BTreeMap<String, Vec<String>>,
}

impl Books {
    fn receive(&mut self, order: &str, wanted: &BTreeMap<String, i64>) {
        let missing = |(sku, quantity): (&String, &i64)| {
            let left = self.on_hand[sku];
            (left < *quantity).then(|| (sku.clone(), quantity - left))
        };
        let missing: Vec<_> = wanted.iter().filter_map(missing).collect();
        let said = if missing.is_empty() { "inventory.order.reserved" } else { "inventory.order.short" };
        if missing.is_empty() {
            for (sku, quantity) in wanted {
                *self.on_hand.get_mut(sku).unwrap() -= quantity;
                self.movements.entry((order.to_owned(), sku.clone())).or_default().push(-quantity);
            }
        }
        for (sku, quantity) in missing {
            self.backorders.entry((order.to_owned(), sku)).or_default().push(quantity);
        }
        self.said.entry(order.to_owned()).or_default().push(said.to_owned());
    }
}

fn sku(customer: u64, item: u64) -> String {
    format!("c{customer}-{item}")
}

/// Somebody places an order: its id, whose it is, what is wanted.
fn order(numbers: &mut Numbers, number: u64) -> (String, u64, BTreeMap<String, i64>) {
    let customer = numbers.below(CUSTOMERS);
    let mut wanted = BTreeMap::new();
    for _ in 0..=numbers.below(2) {
        let item = sku(customer, numbers.below(ITEMS_OF_ONE));
        *wanted.entry(item).or_default() += i64::try_from(1 + numbers.below(3)).unwrap();
    }
    (format!("SO-{number}"), customer, wanted)
}

/// A process that works off deliveries.
struct Worker(Child);

impl Worker {
    fn start(url: &str) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_worker"))
            .args([url, env!("CARGO_TARGET_TMPDIR")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_order_is_lost_or_done_twice_however_often_workers_are_killed() {
    let seed = match std::env::var(SEED) {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => u64::from_le_bytes(erp_plugin::random_key()[..8].try_into().unwrap()),
    };
    println!("{SEED}={seed}");
    let database = Database::lasting().await;
    let platform = Platform::on(database.url(), |builder| builder).await;
    let inventory = guests::changed("inventory", "0.1.1", |manifest| {
        let retry = json!({ "retries": 100, "first-delay": "10ms", "max-delay": "10ms" });
        manifest["subscriptions"][0] = json!({ "event": "order.created", "key": "customer", "retry": retry });
    });
    platform.enable("", inventory).await;
    let mut books = Books::default();
    for (customer, item) in
        (0..CUSTOMERS).flat_map(|customer| (0..ITEMS_OF_ONE).map(move |item| (customer, item)))
    {
        let sku = sku(customer, item);
        let item = json!({ "sku": sku, "name": sku, "on_hand": ON_HAND });
        platform.host.records(system_of(TENANT)).insert("inventory.item", &item).await.unwrap();
        books.on_hand.insert(sku, ON_HAND);
    }

    let mut numbers = Numbers(seed);
    let mut killing = Numbers(!seed);
    let processes = if on_postgres() { 3 } else { 1 };
    let mut workers: Vec<Worker> = (0..processes).map(|_| Worker::start(database.url())).collect();
    let mut kills = 0;
    let mut number = 0;
    let mut next_kill = Instant::now() + Duration::from_millis(500);
    while kills < KILLS || number < ORDERS {
        let (id, customer, wanted) = order(&mut numbers, number);
        number += 1;
        let lines: Vec<Json> =
            wanted.iter().map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity })).collect();
        let payload = json!({ "id": id, "customer": customer, "lines": lines });
        platform.host.publish(system_of(TENANT), "order.created", &payload).await.unwrap();
        books.receive(&id, &wanted);
        if Instant::now() >= next_kill {
            let victim = usize::try_from(killing.below(processes)).unwrap();
            workers[victim] = Worker::start(database.url());
            kills += 1;
            next_kill = Instant::now() + Duration::from_millis(30 + killing.below(900 / processes));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    println!("{number} orders, {kills} kills");
    let events = platform.host.events();
    let begun = Instant::now();
    loop {
        let backlog = events.backlog(None).await.unwrap();
        if backlog.unnumbered + backlog.pending == 0 {
            assert_eq!(backlog.dead, 0);
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "it is never done: {backlog:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(workers);
    let found = read(&platform, number).await;
    assert!(books.backorders.len() > 10 && books.movements.len() > 100, "they tell nothing");
    for (id, said) in &books.said {
        assert_eq!(found.said.get(id), Some(said), "{id} with seed {seed}");
    }
    assert_eq!(found, books, "seed {seed}");
}

/// What is in the database.
async fn read(platform: &Platform, orders: u64) -> Books {
    let mut books = Books::default();
    let items = all(platform, "inventory.item").await;
    let mut skus = BTreeMap::new();
    for item in items {
        let sku = item["sku"].as_str().unwrap().to_owned();
        skus.insert(item["id"].as_str().unwrap().to_owned(), sku.clone());
        books.on_hand.insert(sku, item["on_hand"].as_i64().unwrap());
    }
    for movement in all(platform, "inventory.stock_movement").await {
        let key = (text(&movement, "order_id"), skus[&text(&movement, "item")].clone());
        books.movements.entry(key).or_default().push(movement["quantity"].as_i64().unwrap());
    }
    for backorder in all(platform, "inventory.backorder").await {
        let key = (text(&backorder, "order_id"), text(&backorder, "sku"));
        books.backorders.entry(key).or_default().push(backorder["quantity"].as_i64().unwrap());
    }
    let mut after = None;
    let mut published = 0;
    loop {
        let filter = erp_plugin::EventFilter { after, ..erp_plugin::EventFilter::default() };
        let events = platform.host.events().list(filter, false, 1000).await.unwrap();
        let Some(last) = events.last() else { break };
        after = last.number;
        for stored in &events {
            let kind = stored.event.event_type.as_str();
            published += u64::from(kind == "order.created");
            if kind.starts_with("inventory.order.") {
                let payload: Json = serde_json::from_str(&stored.event.payload).unwrap();
                books.said.entry(text(&payload, "order_id")).or_default().push(kind.to_owned());
            }
        }
    }
    assert_eq!(published, orders);
    books
}

fn text(record: &Json, field: &str) -> String {
    record[field].as_str().unwrap().to_owned()
}

async fn all(platform: &Platform, entity: &str) -> Vec<Json> {
    let records = platform.host.records(system_of(TENANT));
    let (mut all, mut cursor) = (Vec::new(), Json::Null);
    loop {
        let mut page = json!({ "limit": 1000 });
        if !cursor.is_null() {
            page["cursor"] = cursor;
        }
        let mut found = records.query(entity, &json!({}), &page).await.unwrap();
        all.append(found["items"].as_array_mut().unwrap());
        cursor = found["next_cursor"].take();
        if cursor.is_null() {
            return all;
        }
    }
}
