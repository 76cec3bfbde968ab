//! Tables whose rows are written as JSON arrays.

use std::fmt::Write;

/// A table, with its columns in the order in which a row is written as a JSON array.
pub(crate) struct Table {
    name: &'static str,
    /// The column that names a row.
    key: &'static str,
    columns: &'static [Column],
}

/// A column of a table.
struct Column {
    name: &'static str,
    /// Whether a row that exists keeps its value when it is overwritten.
    is_kept: bool,
}

const fn column(name: &'static str) -> Column {
    Column {
        name,
        is_kept: false,
    }
}

/// A column whose value stays when its row is overwritten.
const fn kept(name: &'static str) -> Column {
    Column {
        name,
        is_kept: true,
    }
}

/// The registered peers.
pub(crate) const PEERS: Table = Table {
    name: "peers",
    key: "peer_id",
    columns: &[
        kept("id"),
        kept("peer_id"),
        column("last_seen"),
        kept("registered_at"),
        column("network_id"),
        column("version"),
        column("crypto_ipv6"),
        column("addresses"),
        column("privacy_mode"),
        column("bootstrap_capable"),
        column("turn_capable"),
        column("turn_addresses"),
        column("turn_port"),
        column("turn_capacity"),
        column("software_version"),
        column("server_port"),
        column("node_type"),
        column("stores"),
        column("capabilities"),
        column("capability_list"),
    ],
};

/// The sessions that the registry has granted.
pub(crate) const TURN_SESSIONS: Table = Table {
    name: "turn_sessions",
    key: "session_id",
    columns: &[
        kept("session_id"),
        kept("peer_id"),
        kept("server_id"),
        column("tier"),
        column("mbps"),
        kept("granted_at"),
        column("expires_at"),
        column("rate_from"),
        column("accrued_bytes"),
        column("reported_bytes"),
        column("booked_bytes"),
        column("booked_until"),
    ],
};

impl Table {
    /// The columns, separated by commas.
    pub(crate) fn columns(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|column| column.name).collect();
        names.join(", ")
    }

    /// A statement that inserts rows, and overwrites those that exist. Its argument is a JSON array
    /// of rows.
    pub(crate) fn upsert(&self) -> String {
        let cells: Vec<_> = (0..self.columns.len())
            .map(|index| format!("value ->> {index}"))
            .collect();
        let mut sql = format!(
            "\nINSERT INTO {} ({})\nSELECT {}\nFROM json_each(?)\nWHERE true\nON CONFLICT ({}) DO UPDATE SET",
            self.name,
            self.columns(),
            cells.join(", "),
            self.key,
        );
        let mut separator = "";
        for Column { name, .. } in self.columns.iter().filter(|column| !column.is_kept) {
            // Writing to a String cannot fail.
            let _ = write!(sql, "{separator}\n    {name} = excluded.{name}");
            separator = ",";
        }
        sql.push(';');
        sql
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upsert_keeps_what_names_the_row() {
        const PETS: Table = Table {
            name: "pets",
            key: "name",
            columns: &[kept("name"), column("age"), column("owner")],
        };
        assert_eq!(
            PETS.upsert(),
            "\nINSERT INTO pets (name, age, owner)
SELECT value ->> 0, value ->> 1, value ->> 2
FROM json_each(?)
WHERE true
ON CONFLICT (name) DO UPDATE SET
    age = excluded.age,
    owner = excluded.owner;"
        );
    }
}
