// print.c — prints a prediction in one line.
#include "placement/placement.h"

PlacementSum placement_sum(const Placement *placement) {
    PlacementSum s = {0};
    for (size_t i = 0; i < placement->n_functions; i++) {
        const FunctionPlacement *f = &placement->functions[i];
        s.conv_ane += f->conv_ane;
        s.conv_total += f->conv_total;
        s.compute_ane += f->compute_ane;
        s.compute_total += f->compute_total;
        s.n_unknown += f->n_unknown;
        s.n_faults += f->n_faults;
        s.n_index += f->n_index;
    }
    return s;
}

Str placement_finding_name(const FunctionPlacement *f, const PlacementFinding *found) {
    return found->op == PLACEMENT_NO_OP ? f->function->name : f->function->ops[found->op].name;
}

static void print_offenders(const Placement *placement, StrBuf *out) {
    enum { MOST = 3 };
    size_t n = 0;
    const PlacementRule *explained = NULL; // one rule's words are not repeated
    for (size_t i = 0; i < placement->n_functions; i++) {
        const FunctionPlacement *f = &placement->functions[i];
        for (size_t k = 0; k < f->n_findings; k++) {
            const PlacementFinding *found = &f->findings[k];
            bool is_index = found->op != PLACEMENT_NO_OP && f->is_index[found->op];
            if (found->rule->effect == RULE_NOTE || is_index) continue;
            Str name = placement_finding_name(f, found);
            if (n++ >= MOST) continue;
            strbuf_printf(out, "; '%.*s' %.*s", STR_ARG(name), STR_ARG(found->detail));
            if (found->rule != explained) strbuf_printf(out, ": %s", found->rule->text);
            strbuf_printf(out, " [%s %s]", found->rule->id, rule_effect_name(found->rule->effect));
            explained = found->rule;
        }
    }
    if (n > MOST) strbuf_printf(out, "; and %zu more", n - MOST);
}

void placement_print(const Placement *placement, StrBuf *out) {
    PlacementSum s = placement_sum(placement);
    strbuf_printf(out, "conv_ane=%u/%u compute_ane=%u/%u (predicted)", s.conv_ane, s.conv_total,
                  s.compute_ane, s.compute_total);
    if (s.n_index)
        strbuf_printf(out, ", %u index ops predicted to run on the CPU first", s.n_index);
    if (s.n_unknown) strbuf_printf(out, ", %u unknown", s.n_unknown);
    if (!placement_is_resident(placement)) print_offenders(placement, out);
}
