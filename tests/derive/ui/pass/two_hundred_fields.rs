//! Two hundred fields.
#![deny(warnings)]
#![allow(dead_code)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    f0: u64,
    f1: String,
    #[shared(counter)]
    f2: i64,
    f3: Option<Vec<u8>>,
    f4: u64,
    f5: String,
    #[shared(counter)]
    f6: i64,
    f7: Option<Vec<u8>>,
    f8: u64,
    f9: String,
    #[shared(counter)]
    f10: i64,
    f11: Option<Vec<u8>>,
    f12: u64,
    f13: String,
    #[shared(counter)]
    f14: i64,
    f15: Option<Vec<u8>>,
    f16: u64,
    f17: String,
    #[shared(counter)]
    f18: i64,
    f19: Option<Vec<u8>>,
    f20: u64,
    f21: String,
    #[shared(counter)]
    f22: i64,
    f23: Option<Vec<u8>>,
    f24: u64,
    f25: String,
    #[shared(counter)]
    f26: i64,
    f27: Option<Vec<u8>>,
    f28: u64,
    f29: String,
    #[shared(counter)]
    f30: i64,
    f31: Option<Vec<u8>>,
    f32: u64,
    f33: String,
    #[shared(counter)]
    f34: i64,
    f35: Option<Vec<u8>>,
    f36: u64,
    f37: String,
    #[shared(counter)]
    f38: i64,
    f39: Option<Vec<u8>>,
    f40: u64,
    f41: String,
    #[shared(counter)]
    f42: i64,
    f43: Option<Vec<u8>>,
    f44: u64,
    f45: String,
    #[shared(counter)]
    f46: i64,
    f47: Option<Vec<u8>>,
    f48: u64,
    f49: String,
    #[shared(counter)]
    f50: i64,
    f51: Option<Vec<u8>>,
    f52: u64,
    f53: String,
    #[shared(counter)]
    f54: i64,
    f55: Option<Vec<u8>>,
    f56: u64,
    f57: String,
    #[shared(counter)]
    f58: i64,
    f59: Option<Vec<u8>>,
    f60: u64,
    f61: String,
    #[shared(counter)]
    f62: i64,
    f63: Option<Vec<u8>>,
    f64: u64,
    f65: String,
    #[shared(counter)]
    f66: i64,
    f67: Option<Vec<u8>>,
    f68: u64,
    f69: String,
    #[shared(counter)]
    f70: i64,
    f71: Option<Vec<u8>>,
    f72: u64,
    f73: String,
    #[shared(counter)]
    f74: i64,
    f75: Option<Vec<u8>>,
    f76: u64,
    f77: String,
    #[shared(counter)]
    f78: i64,
    f79: Option<Vec<u8>>,
    f80: u64,
    f81: String,
    #[shared(counter)]
    f82: i64,
    f83: Option<Vec<u8>>,
    f84: u64,
    f85: String,
    #[shared(counter)]
    f86: i64,
    f87: Option<Vec<u8>>,
    f88: u64,
    f89: String,
    #[shared(counter)]
    f90: i64,
    f91: Option<Vec<u8>>,
    f92: u64,
    f93: String,
    #[shared(counter)]
    f94: i64,
    f95: Option<Vec<u8>>,
    f96: u64,
    f97: String,
    #[shared(counter)]
    f98: i64,
    f99: Option<Vec<u8>>,
    f100: u64,
    f101: String,
    #[shared(counter)]
    f102: i64,
    f103: Option<Vec<u8>>,
    f104: u64,
    f105: String,
    #[shared(counter)]
    f106: i64,
    f107: Option<Vec<u8>>,
    f108: u64,
    f109: String,
    #[shared(counter)]
    f110: i64,
    f111: Option<Vec<u8>>,
    f112: u64,
    f113: String,
    #[shared(counter)]
    f114: i64,
    f115: Option<Vec<u8>>,
    f116: u64,
    f117: String,
    #[shared(counter)]
    f118: i64,
    f119: Option<Vec<u8>>,
    f120: u64,
    f121: String,
    #[shared(counter)]
    f122: i64,
    f123: Option<Vec<u8>>,
    f124: u64,
    f125: String,
    #[shared(counter)]
    f126: i64,
    f127: Option<Vec<u8>>,
    f128: u64,
    f129: String,
    #[shared(counter)]
    f130: i64,
    f131: Option<Vec<u8>>,
    f132: u64,
    f133: String,
    #[shared(counter)]
    f134: i64,
    f135: Option<Vec<u8>>,
    f136: u64,
    f137: String,
    #[shared(counter)]
    f138: i64,
    f139: Option<Vec<u8>>,
    f140: u64,
    f141: String,
    #[shared(counter)]
    f142: i64,
    f143: Option<Vec<u8>>,
    f144: u64,
    f145: String,
    #[shared(counter)]
    f146: i64,
    f147: Option<Vec<u8>>,
    f148: u64,
    f149: String,
    #[shared(counter)]
    f150: i64,
    f151: Option<Vec<u8>>,
    f152: u64,
    f153: String,
    #[shared(counter)]
    f154: i64,
    f155: Option<Vec<u8>>,
    f156: u64,
    f157: String,
    #[shared(counter)]
    f158: i64,
    f159: Option<Vec<u8>>,
    f160: u64,
    f161: String,
    #[shared(counter)]
    f162: i64,
    f163: Option<Vec<u8>>,
    f164: u64,
    f165: String,
    #[shared(counter)]
    f166: i64,
    f167: Option<Vec<u8>>,
    f168: u64,
    f169: String,
    #[shared(counter)]
    f170: i64,
    f171: Option<Vec<u8>>,
    f172: u64,
    f173: String,
    #[shared(counter)]
    f174: i64,
    f175: Option<Vec<u8>>,
    f176: u64,
    f177: String,
    #[shared(counter)]
    f178: i64,
    f179: Option<Vec<u8>>,
    f180: u64,
    f181: String,
    #[shared(counter)]
    f182: i64,
    f183: Option<Vec<u8>>,
    f184: u64,
    f185: String,
    #[shared(counter)]
    f186: i64,
    f187: Option<Vec<u8>>,
    f188: u64,
    f189: String,
    #[shared(counter)]
    f190: i64,
    f191: Option<Vec<u8>>,
    f192: u64,
    f193: String,
    #[shared(counter)]
    f194: i64,
    f195: Option<Vec<u8>>,
    f196: u64,
    f197: String,
    #[shared(counter)]
    f198: i64,
    f199: Option<Vec<u8>>,
}

pub fn main() {
    assert_eq!(Document::FIELDS.len(), 200);
}
