/* All kernels for one instruction set: VECTOR bytes at once, in the table called TABLE. */
#include "vector.h"

#include "dense.h"

#include "packed.h"

#include "products.h"

#include "packed_products.h"

#include "quantize.h"

#include "rows.h"

#include "attention.h"

#include "attention_many.h"

#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)

const Kernels TABLE = {
    .name = TEXT(NAME),
    .panel = PANEL,
    .pairs = MULTIPLIES_BF16,
    .dense_prepare = dense_prepare,
    .dense = dense,
    .multiply = multiply,
    .packed_prepare = packed_prepare,
    .packed = packed,
    .multiply_packed = multiply_packed,
    .unpack = unpack,
    .quantize = quantize,
    .norm = norm,
    .activate = activate,
    .add = add,
    .gather = gather,
    .survey = survey,
    .rotate = rotate,
    .narrow = narrow,
    .widen = widen_all,
    .attend = attend,
    .attend_crowd = attend_crowd,
    .merge = merge,
};
