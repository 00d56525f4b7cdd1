#!/usr/bin/env bash
# Kotlin and Swift from the contract, and a look at what came out: every union must be told apart by its tag.
#
#     examples/generate_clients.sh [FOLDER [OPENAPI.JSON]]
#
# Needs uv and a Java runtime (11 or newer). What is made is a start: it knows no sync, and refuses a kind that is newer
# than itself; companion/docs/client.md says what a client does about both.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
into=${1:-$(mktemp -d)}
contract=${2:-$here/tests/contract/openapi.json}
mkdir -p "$into"
kotlin=$into/kotlin/src/main/kotlin/companion/models
swift=$into/swift/Sources/Companion/Models

generate() {
    uv tool run --quiet openapi-generator-cli@7.26.0 generate --input-spec "$contract" "$@" > "$into/generator.log" 2>&1 ||
        { cat "$into/generator.log"; exit 1; }
}

generate --generator-name kotlin --output "$into/kotlin" --package-name companion \
    --additional-properties serializationLibrary=kotlinx_serialization,generateOneOfAnyOfWrappers=true
generate --generator-name swift6 --output "$into/swift" --additional-properties projectName=Companion

# Union, tag, word and type, a line each, from the contract itself.
members() {
    python3 - "$contract" << 'PYTHON'
import json, sys
for name, schema in json.load(open(sys.argv[1]))["components"]["schemas"].items():
    if "discriminator" in schema:
        for word, target in schema["discriminator"]["mapping"].items():
            print(name, schema["discriminator"]["propertyName"], word, target.rpartition("/")[2])
PYTHON
}

# A branch is two lines: its word, then the type that is decoded.
told_apart() {
    grep -A 1 -F "$2" "$1" | grep -q -F "$3" || { echo "$1 does not read $3 at $2" >&2; exit 1; }
}

members | grep -q "^Body kind " || { echo "the contract does not tell the kinds of an entry apart" >&2; exit 1; }

count=0
while read -r union tag word type; do
    grep -q -F "element[\"$tag\"]" "$kotlin/$union.kt" || { echo "$union.kt does not look at $tag" >&2; exit 1; }
    grep -q -F "forKey: .$tag" "$swift/$union.swift" || { echo "$union.swift does not look at $tag" >&2; exit 1; }
    told_apart "$kotlin/$union.kt" "\"$word\" ->" "$type.serializer()"
    told_apart "$swift/$union.swift" "case \"$word\":" "$type(from: decoder)"
    echo "$union by $tag: $word is $type in Kotlin and Swift"
    count=$((count + 1))
done < <(members)

echo "$count types told apart; the code is in $into"
