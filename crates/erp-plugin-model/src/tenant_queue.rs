//! Those who wait for something scarce, served round-robin by tenant: a tenant with a thousand waiting delays
//! another's one by a single turn. A plain data structure; whoever owns the scarce thing puts it behind a lock.

use std::collections::{HashMap, VecDeque};

use crate::TenantId;

/// A queue that is fair between tenants and first-in first-out within one.
#[derive(Debug)]
pub struct TenantQueue<T> {
    lines: HashMap<TenantId, VecDeque<T>>,
    turns: VecDeque<TenantId>,
    len: usize,
}

impl<T> Default for TenantQueue<T> {
    fn default() -> Self {
        Self { lines: HashMap::new(), turns: VecDeque::new(), len: 0 }
    }
}

impl<T> TenantQueue<T> {
    /// Puts somebody at the end of their tenant's line.
    pub fn push(&mut self, tenant: &TenantId, waiter: T) {
        self.len += 1;
        match self.lines.get_mut(tenant) {
            Some(line) => line.push_back(waiter),
            None => {
                self.lines.insert(tenant.clone(), VecDeque::from([waiter]));
                self.turns.push_back(tenant.clone());
            }
        }
    }

    /// Takes the first of the tenant whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        let tenant = self.turns.pop_front()?;
        let line = self.lines.get_mut(&tenant)?;
        let waiter = line.pop_front()?;
        self.len -= 1;
        if line.is_empty() {
            self.lines.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        Some(waiter)
    }

    /// Takes the first of the tenant whose turn it is among those of whom this is true; the others keep their turns.
    pub fn pop_where(&mut self, mut may: impl FnMut(&TenantId) -> bool) -> Option<T> {
        let at = self.turns.iter().position(&mut may)?;
        let tenant = self.turns.remove(at)?;
        self.turns.push_front(tenant);
        self.pop()
    }

    /// How many of a tenant wait.
    #[must_use]
    pub fn len_of(&self, tenant: &TenantId) -> usize {
        self.lines.get(tenant).map_or(0, VecDeque::len)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_take_turns() {
        let (a, b) = (TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        let mut queue = TenantQueue::default();
        for number in 1..=3 {
            queue.push(&a, format!("a{number}"));
        }
        queue.push(&b, "b1".to_owned());
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, ["a1", "b1", "a2", "a3"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn who_may_not_keeps_the_turn() {
        let (a, b) = (TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        let mut queue = TenantQueue::default();
        for tenant in [&a, &a, &b, &b] {
            queue.push(tenant, tenant.to_string());
        }
        assert_eq!((queue.len_of(&a), queue.len_of(&b)), (2, 2));
        assert_eq!(queue.pop_where(|tenant| *tenant == b).as_deref(), Some("b"));
        assert_eq!(queue.pop().as_deref(), Some("a"));
        assert_eq!(queue.pop_where(|_| false), None);
        assert_eq!((queue.len(), queue.len_of(&b)), (2, 1));
    }
}
