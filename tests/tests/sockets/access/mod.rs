//! Who may join, read and write.

mod addresses;
mod changed_paths;
mod client_ids;
mod client_kick;
mod client_passwords;
mod declarations;
mod hidden_rules;
mod identity;
mod kick;
mod origins;
mod passwords;
mod rights;
mod roles;
mod table;
mod tls;
mod tokens;
