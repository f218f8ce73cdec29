//! The `reply` of a route: JSON, written in TOML.

/// A value of TOML as JSON, which has neither dates nor infinite numbers.
pub(super) fn json_of(value: &toml::Value) -> Result<serde_json::Value, &'static str> {
    Ok(match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Boolean(truth) => (*truth).into(),
        toml::Value::Float(number) => {
            serde_json::Number::from_f64(*number).ok_or("JSON has no infinite number")?.into()
        }
        toml::Value::Datetime(_) => return Err("JSON has no dates: put it in quotation marks"),
        toml::Value::Array(values) => values.iter().map(json_of).collect::<Result<Vec<_>, _>>()?.into(),
        toml::Value::Table(entries) => {
            let entry = |(key, value): (&String, &toml::Value)| match key == "{reply}" {
                true => Err("a key cannot be the reply"),
                false => Ok((key.clone(), json_of(value)?)),
            };
            serde_json::Value::Object(entries.iter().map(entry).collect::<Result<_, _>>()?)
        }
    })
}
