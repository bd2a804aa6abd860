//! The demo's own data: a hardware wholesaler's year, made up from a seed.
//!
//! The same seed gives the same lines for ever, so the random numbers are our own: a library's may change with its
//! version. Sizes and shapes are those of a well-known sample of such data: 77 products, 830 orders, about 2,155
//! lines.

use chrono::{Days, NaiveDate};
use serde::Serialize;

/// The seed of a demo that is not given one.
pub const DEFAULT_SEED: u64 = 1;

const PRODUCTS: usize = 77;
const ORDERS: u64 = 830;
const FIRST_NUMBER: u64 = 10_001;
const DAYS: u64 = 365;

/// What the two files of a data folder hold, line by line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// `products.jsonl`.
    pub products: Vec<String>,
    /// `orders.jsonl`.
    pub orders: Vec<String>,
}

/// Makes products and orders up.
#[must_use]
pub fn generate(seed: u64) -> Files {
    let mut random = SplitMix64(seed);
    let products: Vec<Product> = (0..PRODUCTS).map(|index| product(index, &mut random)).collect();
    let orders = (0..ORDERS).map(|index| json(&order(index, &products, &mut random))).collect();
    Files { products: products.iter().map(json).collect(), orders }
}

#[derive(Serialize)]
struct Product {
    sku: String,
    name: String,
    supplier: &'static str,
    category: &'static str,
    unit: &'static str,
    unit_price: String,
    on_hand: u64,
    on_order: u64,
    reorder_level: u64,
    discontinued: bool,
}

#[derive(Serialize)]
struct Order<'a> {
    id: String,
    customer: &'static str,
    order_date: String,
    required_date: String,
    freight: String,
    ship_name: &'static str,
    ship_city: &'static str,
    ship_country: &'static str,
    lines: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    sku: &'a str,
    unit_price: &'a str,
    quantity: u64,
    discount: &'static str,
}

const CATEGORIES: [(&str, &str, [&str; 5]); 8] = [
    ("Fasteners", "box of 200", ["Wood screw", "Hex bolt", "Wall plug", "Washer", "Cup hook"]),
    ("Hand tools", "piece", ["Claw hammer", "Chisel", "Hand saw", "Spirit level", "Pliers"]),
    ("Paint", "tin of 2.5 l", ["Wall paint", "Wood stain", "Primer", "Radiator enamel", "Varnish"]),
    (
        "Electrical",
        "roll of 50 m",
        ["Installation cable", "Earth wire", "Conduit", "Bell wire", "Data cable"],
    ),
    ("Lighting", "carton of 10", ["LED bulb", "Spotlight", "Work lamp", "Night light", "Floodlight"]),
    ("Plumbing", "bag of 25", ["Pipe elbow", "Tee joint", "Tap seal", "Hose clamp", "Ball valve"]),
    ("Safety", "pack of 12", ["Work gloves", "Dust mask", "Ear plugs", "Goggles", "Knee pads"]),
    ("Garden", "piece", ["Spade", "Rake", "Watering can", "Secateurs", "Wheelbarrow"]),
];

const SIZES: [&str; 2] = ["small", "large"];

const SUPPLIERS: [&str; 6] = [
    "Oakfield Tools",
    "Brightwater Supply",
    "Halden & Sons",
    "Kestrel Metals",
    "Lindqvist Trade",
    "Ostrava Mills",
];

const CUSTOMERS: [(&str, &str, &str, &str); 12] = [
    ("ALDER", "Alder Joinery", "Leeds", "United Kingdom"),
    ("BRIDG", "Bridge Street Builders", "Cork", "Ireland"),
    ("CASTA", "Castanha Obras", "Porto", "Portugal"),
    ("DELTA", "Delta Handelshuis", "Utrecht", "Netherlands"),
    ("ELBEW", "Elbe Werkstatt", "Dresden", "Germany"),
    ("FJORD", "Fjord Bygg", "Bergen", "Norway"),
    ("GRANI", "Granite Ridge Stores", "Halifax", "Canada"),
    ("HARBO", "Harbour Hardware", "Fremantle", "Australia"),
    ("ISERE", "Isère Bricolage", "Grenoble", "France"),
    ("JINHE", "金河五金", "杭州", "中国"),
    ("KIELC", "Kielce Remonty", "Kielce", "Poland"),
    ("LAGOV", "Lago Vivo", "Como", "Italy"),
];

const DISCOUNTS: [&str; 4] = ["0.05", "0.10", "0.15", "0.25"];

fn product(index: usize, random: &mut SplitMix64) -> Product {
    let round = index / CATEGORIES.len();
    let (category, unit, nouns) = pick(&CATEGORIES, index);
    let (noun, size) = (pick(nouns, round), pick(&SIZES, round / nouns.len()));
    Product {
        sku: format!("HW-{:03}", index + 1),
        name: format!("{noun}, {size}"),
        supplier: random.one_of::<&str>(&SUPPLIERS),
        category,
        unit,
        unit_price: cents(250 + random.below(6_000)),
        on_hand: random.below(126),
        on_order: 10 * random.below(8),
        reorder_level: 5 * random.below(7),
        discontinued: random.below(10) == 0,
    }
}

fn order<'a>(index: u64, products: &'a [Product], random: &mut SplitMix64) -> Order<'a> {
    let (customer, ship_name, ship_city, ship_country) = *random.one_of(&CUSTOMERS);
    let order_date =
        NaiveDate::from_ymd_opt(2025, 1, 2).unwrap_or_default() + Days::new(index * DAYS / ORDERS);
    let lines = match random.below(100) {
        0..16 => 1,
        16..50 => 2,
        50..79 => 3,
        79..95 => 4,
        _ => 5,
    };
    Order {
        id: format!("SO-{}", FIRST_NUMBER + index),
        customer,
        order_date: order_date.to_string(),
        required_date: (order_date + Days::new(28)).to_string(),
        freight: cents(100 + random.below(20_000)),
        ship_name,
        ship_city,
        ship_country,
        // With replacement: now and then an order names a product twice, as people do.
        lines: (0..lines).map(|_| line(random.one_of(products), random)).collect(),
    }
}

fn line<'a>(product: &'a Product, random: &mut SplitMix64) -> Line<'a> {
    let quantity = if random.below(50) == 0 { 80 + random.below(51) } else { 1 + random.below(45) };
    let discount = if random.below(5) < 3 { "0.00" } else { *random.one_of(&DISCOUNTS) };
    Line { sku: &product.sku, unit_price: &product.unit_price, quantity, discount }
}

fn cents(amount: u64) -> String {
    format!("{}.{:02}", amount / 100, amount % 100)
}

fn json(line: &impl Serialize) -> String {
    // Texts, numbers and lists of them: there is nothing in it that JSON does not have.
    serde_json::to_string(line).unwrap_or_default()
}

/// The entry at an index, counted round and round.
#[allow(clippy::indexing_slicing, reason = "no list here is empty, and the index is taken modulo its length")]
fn pick<T>(list: &[T], index: usize) -> &T {
    &list[index % list.len()]
}

/// Steele, Lea and Flood's generator (2014): eight lines that will be the same in ten years.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`. The bias of the remainder is far below one in a billion here.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        pick(list, usize::try_from(self.below(list.len() as u64)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_published_generator() {
        let mut random = SplitMix64(1_234_567);
        let first = [random.next(), random.next(), random.next()];
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn a_seed_gives_the_same_lines_for_ever() {
        assert_eq!(generate(7), generate(7));
        assert_ne!(generate(7).orders, generate(8).orders);
        let files = generate(DEFAULT_SEED);
        assert_eq!(
            files.products[0],
            r#"{"sku":"HW-001","name":"Wood screw, small","supplier":"Ostrava Mills","category":"Fasteners","#
                .to_owned()
                + r#""unit":"box of 200","unit_price":"47.69","on_hand":120,"on_order":30,"reorder_level":25,"#
                + r#""discontinued":false}"#
        );
        assert_eq!(
            files.orders[829],
            r#"{"id":"SO-10830","customer":"ELBEW","order_date":"2026-01-01","required_date":"2026-01-29","#
                .to_owned()
                + r#""freight":"21.20","ship_name":"Elbe Werkstatt","ship_city":"Dresden","ship_country":"Germany","#
                + r#""lines":[{"sku":"HW-050","unit_price":"50.58","quantity":11,"discount":"0.00"}]}"#
        );
    }

    #[test]
    fn there_is_as_much_as_the_demo_promises() {
        let files = generate(DEFAULT_SEED);
        let lines = files.orders.iter().map(|order| order.matches("\"sku\"").count()).sum::<usize>();
        assert_eq!((files.products.len(), files.orders.len()), (77, 830));
        assert!((2_050..2_260).contains(&lines), "{lines}");
        let names: std::collections::BTreeSet<&str> = files
            .products
            .iter()
            .filter_map(|line| line.split("\"name\":").nth(1)?.split('"').nth(1))
            .collect();
        assert_eq!(names.len(), 77);
    }
}
