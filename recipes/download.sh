#!/usr/bin/env bash
# Download CC-100 (15 GB) and a Wikipedia dump (9 GB) below $WORK. Run it again after a break: it continues.
# No `set -e` here: curl returns an error for a file that is already complete (HTTP error 416).
WORK=${WORK:-.}
DATE=${DATE:-20261101}

# --- CC-100
mkdir -p $WORK/cc-100
curl -f -C - -o $WORK/cc-100/ja.txt.xz https://data.statmt.org/cc-100/ja.txt.xz
xz -t $WORK/cc-100/ja.txt.xz && echo "CC-100 is complete."

# --- Wikipedia
URL=https://dumps.wikimedia.org/other/cirrus_search_index/$DATE/index_name%3Djawiki_content
DUMP=$WORK/cirrus_search_index/$DATE/index_name=jawiki_content
for number in $(seq -f %05g 0 13); do
    curl -f -C - --create-dirs -o $DUMP/jawiki_content-$DATE-$number.json.bz2 $URL/jawiki_content-$DATE-$number.json.bz2
done
bzip2 -t $DUMP/*.bz2 && curl -f -o $DUMP/_SUCCESS $URL/_SUCCESS && echo "Wikipedia is complete."
