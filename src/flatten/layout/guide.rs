//! The guide tells the walk what to do with each member of a payload. It follows a layout, or learns one.

mod follow;
mod learn;

use super::Traits;
use super::rates::Number;
use crate::error::Stop;

pub(crate) use follow::Follow;
pub(crate) use learn::{Learn, LearnWork};

/// What is to be done with a member.
pub(crate) enum Member {
    Out,
    In(Traits),
}

/// Tells the walk what to do with each member, in their order.
pub(crate) trait Guide {
    /// Whether keys are seen for the first time: the walk then checks their escapes, and its output is discarded.
    const LEARNS: bool;

    /// What is known of members before they are walked.
    type Known: Known;

    /// None while a layout is learned.
    fn known(&mut self) -> Option<&mut Self::Known>;
    /// The next member, by its key as it stands in the payload.
    fn member(&mut self, key: &[u8]) -> Result<Member, Stop>;
    /// The member is a value or an array without objects. Writes its name; false if it is not shipped.
    fn leaf(&mut self, out: &mut Vec<u8>) -> Result<bool, Stop>;
    /// The leaf that was passed last, which is shipped, has a value.
    fn value(&mut self) -> Result<(), Stop>;
    /// The member is an object.
    fn object(&mut self) -> Result<(), Stop>;
    /// The object, or the list of columns, is at its end.
    fn end(&mut self) -> Result<(), Stop>;
    /// The member is an array with objects; false if it is not shipped.
    fn columns(&mut self) -> Result<bool, Stop>;
    /// A column of that array. Writes its name; false if it is not shipped.
    fn column(&mut self, name: &[u8], out: &mut Vec<u8>) -> Result<bool, Stop>;
}

/// What only a guide with a known layout can tell.
pub(crate) trait Known {
    /// Whether the next member is a value that is shipped as it is, under its keys as they stand, the last of which is
    /// `body[start..end]`. Gives the bytes of the name before that key. Nothing is stepped over.
    fn plain_leaf(&self, body: &[u8], start: usize, end: usize) -> Option<usize>;
    /// Writes those bytes, with what goes before a name, and steps over the leaf that [`Known::plain_leaf`] knew.
    fn step_plain_leaf(&mut self, key_bytes: usize, out: &mut Vec<u8>);
    /// The leaf was this number, and a rate may stand behind it. True if it does.
    fn rate(&mut self, number: Number, out: &mut Vec<u8>) -> bool;
    /// How many members have been passed: the same for the same member, as long as the layout is the same.
    fn place(&self) -> usize;
}
