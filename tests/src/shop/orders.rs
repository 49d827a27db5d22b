//! What became of the orders that customers were told were taken.

use std::collections::{BTreeMap, BTreeSet};

/// An audit of a file with one order a line, by its first word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orders {
    /// Acknowledged, and there once.
    pub kept: usize,
    /// Acknowledged, and not there.
    pub lost: Vec<String>,
    /// There more than once.
    pub doubled: Vec<String>,
    /// There once, though the customer was told of an error: to be looked up before it is paid again.
    pub unacknowledged: usize,
}

impl Orders {
    /// Audits the text of a file against the orders whose customers were told that they were taken.
    pub fn audit(file: &str, acknowledged: &[String]) -> Self {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for line in file.lines() {
            *seen.entry(line.split(' ').next().unwrap_or_default()).or_default() += 1;
        }
        let told: BTreeSet<&str> = acknowledged.iter().map(String::as_str).collect();
        let mut orders = Self::default();
        for order in &told {
            match seen.get(order) {
                None => orders.lost.push((*order).to_owned()),
                Some(_) => orders.kept += 1,
            }
        }
        for (order, times) in &seen {
            if *times > 1 {
                orders.doubled.push((*order).to_owned());
            }
        }
        orders.unacknowledged = seen.keys().filter(|order| !told.contains(**order)).count();
        orders
    }

    /// Whether none was lost and none doubled.
    pub fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.doubled.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_doubled_and_unacknowledged_orders_are_told_apart() {
        let told = ["order-1", "order-2", "order-3"].map(str::to_owned);
        let orders = Orders::audit("order-1 10\norder-2 11\norder-2 11\norder-4 9\n", &told);
        assert_eq!((orders.kept, orders.unacknowledged), (2, 1));
        assert_eq!(
            (orders.lost.as_slice(), orders.doubled.as_slice()),
            (&told[2..], &told[1..2])
        );
        assert!(!orders.is_clean());
    }
}
