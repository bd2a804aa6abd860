//! What the demo works on: products and orders, one JSON object a line.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use erp_plugin::HostError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::generator::generate;

/// Products and orders, in the order of their lines.
#[derive(Clone, Debug)]
pub struct Data {
    pub(super) products: Vec<Placed<Product>>,
    pub(super) orders: Vec<Placed<Order>>,
}

/// Something, and the file and line that it came from.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) place: String,
    pub(super) value: T,
}

/// A product: the fields of an `inventory.item`. Whatever else a line says is left out.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Product {
    sku: String,
    name: String,
    category: String,
    unit: String,
    unit_price: String,
    on_hand: u64,
    reorder_level: u64,
    discontinued: bool,
}

/// An order: the payload of an `order.created`, word for word.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) id: String,
    /// The digits that its id ends in.
    pub(super) number: u64,
    pub(super) payload: Value,
}

impl Data {
    /// Reads `products.jsonl` and `orders.jsonl` of a folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let lines = |name: &str| -> Result<(String, Vec<String>)> {
            let path = folder.join(name);
            let text = fs::read_to_string(&path).with_context(|| {
                format!(
                    "cannot read {}; --data takes a folder with products.jsonl and orders.jsonl",
                    path.display()
                )
            })?;
            Ok((path.display().to_string(), text.lines().map(str::to_owned).collect()))
        };
        let (products, orders) = (lines("products.jsonl")?, lines("orders.jsonl")?);
        Self::parse((&products.0, &products.1), (&orders.0, &orders.1))
    }

    /// The demo's own data; another seed gives other orders.
    pub fn generated(seed: u64) -> Result<Self> {
        let files = generate(seed);
        Self::parse(("products.jsonl", &files.products), ("orders.jsonl", &files.orders))
    }

    fn parse(products: (&str, &[String]), orders: (&str, &[String])) -> Result<Self> {
        Ok(Self { products: each(products, line)?, orders: each(orders, order)? })
    }
}

/// Reads each line that is not empty.
fn each<T>((file, lines): (&str, &[String]), read: fn(&str) -> Result<T, String>) -> Result<Vec<Placed<T>>> {
    let mut all = Vec::with_capacity(lines.len());
    for (index, text) in lines.iter().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let place = format!("{file}:{}", index + 1);
        let value = read(text).map_err(|why| HostError::invalid(format!("{place}: {why}")))?;
        all.push(Placed { place, value });
    }
    if all.is_empty() {
        bail!(HostError::invalid(format!("{file} is empty; it takes one JSON object a line")));
    }
    Ok(all)
}

fn line<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| {
        let text = error.to_string();
        // The line is the file's own, which is named already.
        text.split_once(" at line ")
            .map_or(text.clone(), |(what, _)| format!("{what}, column {}", error.column()))
    })
}

fn order(text: &str) -> Result<Order, String> {
    #[derive(Deserialize)]
    struct Head {
        id: String,
        lines: Vec<Line>,
    }
    #[derive(Deserialize)]
    struct Line {
        sku: String,
        quantity: i64,
    }
    let Head { id, lines } = line(text)?;
    if let Some(Line { sku, quantity }) = lines.iter().find(|line| line.quantity < 1) {
        return Err(format!("the quantity of {sku} is {quantity}; it must be at least 1"));
    }
    let digits = id.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    let number =
        digits.parse().map_err(|_| format!("the id {id:?} does not end in a number, such as SO-10248"))?;
    Ok(Order { number, payload: line(text)?, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(product: &str, order: &str) -> Result<Data> {
        Data::parse(("products.jsonl", &[product.to_owned()]), ("orders.jsonl", &[order.to_owned()]))
    }

    const PRODUCT: &str = r#"{"sku":"A","name":"a","category":"c","unit":"u","unit_price":"1.00","on_hand":1,"reorder_level":0,"discontinued":false}"#;
    const ORDER: &str = r#"{"id":"SO-120","lines":[{"sku":"A","quantity":1}],"city":"Reims"}"#;

    #[test]
    fn a_line_is_kept_as_it_stands() {
        let data = parsed(PRODUCT, ORDER).unwrap();
        assert_eq!(data.orders[0].value.number, 120);
        assert_eq!(data.orders[0].value.payload["city"], "Reims");
    }

    #[test]
    fn a_bad_line_is_named_with_its_file_and_what_is_wrong() {
        let refused = |product: &str, order: &str| parsed(product, order).unwrap_err().to_string();
        let error = refused("{\"sku\":\"A\"}", ORDER);
        assert!(error.contains("products.jsonl:1: missing field `name`"), "{error}");
        let error = refused(PRODUCT, "{\"id\":\"SO-1\",\"lines\":[{\"sku\":\"A\",\"quantity\":0}]}");
        assert!(error.contains("orders.jsonl:1: the quantity of A is 0"), "{error}");
        let error = refused(PRODUCT, "{\"id\":\"SO-x\",\"lines\":[]}");
        assert!(error.contains("does not end in a number"), "{error}");
        assert!(refused(PRODUCT, " ").contains("orders.jsonl is empty"));
    }
}
