//! The naive twin's arrays that become objects by a key.

use super::strict_json::Json;

/// The members, with each array of objects that `arrays` names as an object. `around` is the name of the object that the
/// members are in, with a dot behind it.
pub(crate) fn with_objects(
    around: &str,
    members: Vec<(String, Json)>,
    arrays: &[(String, String)],
) -> Vec<(String, Json)> {
    let with_objects_below = |(key, value): (String, Json)| {
        let name = format!("{around}{key}");
        let member = arrays.iter().find(|(array, _)| *array == name).map(|(_, member)| member);
        let value = match (value, member) {
            (Json::Array(elements), Some(member)) if elements.iter().any(Json::has_object) => {
                Json::Object(by_key(elements, member))
            }
            (value, _) => value,
        };
        match value {
            Json::Object(members) => (key, Json::Object(with_objects(&format!("{name}."), members, arrays))),
            other => (key, other),
        }
    };
    members.into_iter().map(with_objects_below).collect()
}

/// The elements that have a key of their own, under that.
fn by_key(elements: Vec<Json>, member: &str) -> Vec<(String, Json)> {
    let mut found: Vec<(String, Json)> = Vec::new();
    for element in elements {
        let Json::Object(mut members) = element else { continue };
        let mut keys = members.iter().filter(|(name, _)| name == member).map(|(_, key)| key.clone());
        let (Some(Json::String(key)), None) = (keys.next(), keys.next()) else { continue };
        if found.iter().all(|(other, _)| *other != key) {
            members.retain(|(name, _)| name != member);
            found.push((key, Json::Object(members)));
        }
    }
    found
}
