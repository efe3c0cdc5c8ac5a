#include "check.h"
#include "query.h"

static const char cities[] = "city,people\nZ\xc3\xbcrich,434335\n\"say \"\"hi\"\"\",1\n\"tab\there\",\n";

int main(void)
{
        struct text out = {0};

        run_query(cities, "SELECT * FROM t LIMIT 2", OUTPUT_TABLE, &out);
        CHECK_TEXT(out.data, "city      people\n--------  ------\nZ\xc3\xbcrich    434335\nsay \"hi\"       1\n");
        run_query(cities, "SELECT city FROM t", OUTPUT_JSON, &out);
        CHECK_TEXT(out.data,
                   "[\n  {\"city\": \"Z\xc3\xbcrich\"},\n  {\"city\": \"say \\\"hi\\\"\"},\n  {\"city\": \"tab\\u0009here\"}\n]\n");
        run_query(cities, "SELECT people FROM t WHERE people IS NULL", OUTPUT_JSON, &out);
        CHECK_TEXT(out.data, "[\n  {\"people\": null}\n]\n");
        run_query(cities, "SELECT city FROM t WHERE people < 0", OUTPUT_JSON, &out);
        CHECK_TEXT(out.data, "[]\n");
        run_query(cities, "SELECT city FROM t WHERE people = 1", OUTPUT_CSV, &out);
        CHECK_TEXT(out.data, "city\n\"say \"\"hi\"\"\"\n");
        text_free(&out);
        return check_end("output");
}
