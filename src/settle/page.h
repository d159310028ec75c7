// page.h — settle.json as a page for people: one file, no script, nothing from elsewhere. Internal to
// settle/.
#ifndef LATHE_SETTLE_PAGE_H
#define LATHE_SETTLE_PAGE_H

#include <jansson.h>

#include "base/str.h"

// Appends the page that shows `result`. What a stand-in of Core ML gave is called so throughout.
void settle_page(const json_t *result, StrBuf *out);

#endif
