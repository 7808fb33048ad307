//! Builds the tree from what `serde_yaml` reads.

use super::{A_KEY, Node, UNFOLDED};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::fmt;

/// The state of reading a tree.
pub(super) struct Reading<'r> {
    /// How many more bytes trees may take.
    room: &'r Cell<usize>,
    /// Whether the texts of numbers have to be read in a second pass.
    pub(super) wants_spelling: Cell<bool>,
}

impl<'r> Reading<'r> {
    pub(super) fn new(wants_spelling: bool, room: &'r Cell<usize>) -> Self {
        Self { room, wants_spelling: Cell::new(wants_spelling) }
    }
}

/// Turns any value into a `Node`.
#[derive(Clone, Copy)]
pub(super) struct NodeSeed<'r>(pub(super) &'r Reading<'r>);

impl NodeSeed<'_> {
    /// Counts bytes of the tree. An error if there are too many.
    fn take<E: de::Error>(self, bytes: usize) -> Result<(), E> {
        let room = self.0.room.get().checked_sub(bytes);
        room.map(|room| self.0.room.set(room)).ok_or_else(|| E::custom(UNFOLDED))
    }
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Node, D::Error> {
        self.take(size_of::<Node>())?;
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number { text: value.to_string(), whole: value.try_into().ok() })
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number { text: value.to_string(), whole: Some(value) })
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(Node::Number { text: value.to_string(), whole: value.try_into().ok() })
    }

    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        Ok(Node::Number { text: value.to_string(), whole: value.try_into().ok() })
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        self.0.wants_spelling.set(true);
        Ok(Node::Number { text: String::new(), whole: None })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Node, E> {
        self.take(text.len())?;
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key_seed(KeySeed(self))? {
            entries.push((key, map.next_value_seed(self)?));
        }
        Ok(Node::Map(entries))
    }
}

/// Reads a key as text, even if it looks like something else.
struct KeySeed<'r>(NodeSeed<'r>);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        self.0.take(size_of::<Node>())?;
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(A_KEY)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        self.0.take(text.len())?;
        Ok(text.to_owned())
    }
}

/// The second pass: fills in the texts of the numbers in a node.
pub(super) struct Spelling<'n, 'r> {
    pub(super) node: &'n mut Node,
    pub(super) seed: NodeSeed<'r>,
}

impl<'de> DeserializeSeed<'de> for Spelling<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        match self.node {
            Node::Number { .. } => from.deserialize_str(self),
            Node::List(_) | Node::Map(_) => from.deserialize_any(self),
            Node::Null | Node::Bool(_) | Node::Text(_) | Node::Invalid => {
                from.deserialize_ignored_any(IgnoredAny).map(|_| ())
            }
        }
    }
}

impl<'de> Visitor<'de> for Spelling<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what was there before")
    }

    fn visit_str<E: de::Error>(self, spelt: &str) -> Result<(), E> {
        if let Node::Number { text, .. } = self.node {
            self.seed.take(spelt.len())?;
            spelt.clone_into(text);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Node::List(items) = self.node else { return Ok(()) };
        for node in items {
            list.next_element_seed(Spelling { node, seed: self.seed })?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Node::Map(entries) = self.node else { return Ok(()) };
        for (_, node) in entries {
            map.next_key::<IgnoredAny>()?;
            map.next_value_seed(Spelling { node, seed: self.seed })?;
        }
        Ok(())
    }
}
