// Streams, stream capture, graphs and IF nodes on the processor: work runs when it is enqueued, or when its graph is
// launched.  A stage is a host function; kernels are those of decide.cu, compiled for the host.
#include <cuda.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern int fake_fault;
int fake_launches = 0;

enum { MOST_CONDITIONS = 4096, MOST_ARGUMENTS = 6 };
typedef enum { COPY, HOST, KERNEL, IF } Kind;

typedef struct Graph Graph;
typedef struct {
    Kind kind;
    void *target;
    const void *source;
    size_t bytes;
    CUhostFn function;
    void *data;
    int kernel;
    uint64_t arguments[MOST_ARGUMENTS];
    uint64_t condition;
    Graph *body;
} Node;
struct Graph {
    Node *nodes;
    size_t count;
};
typedef struct {
    Graph *capturing;
} Stream;

static unsigned conditions[MOST_CONDITIONS];
static uint64_t conditions_made = 0;

void cudaGraphSetConditional(unsigned long long condition, unsigned value) { conditions[condition] = value; }

void draw_gate(unsigned long long, unsigned long long, const float *, const float *, int, int *);
void decide_exit(unsigned long long, const float *, int, float, int, int *);
void take_exit(int, int *);

static const struct {
    const char *name;
    int count;
    unsigned char sizes[MOST_ARGUMENTS];
} KERNELS[] = {{"draw_gate", 6, {8, 8, 8, 8, 4, 8}}, {"decide_exit", 6, {8, 8, 4, 4, 4, 8}}, {"take_exit", 2, {4, 8}}};

static void run_kernel(const Node *node) {
    const uint64_t *a = node->arguments;
    float threshold;
    memcpy(&threshold, &a[3], sizeof threshold);
    if (node->kernel == 0) draw_gate(a[0], a[1], (void *)a[2], (void *)a[3], (int)a[4], (void *)a[5]);
    if (node->kernel == 1) decide_exit(a[0], (void *)a[1], (int)a[2], threshold, (int)a[4], (void *)a[5]);
    if (node->kernel == 2) take_exit((int)a[0], (void *)a[1]);
}

static void run_graph(const Graph *graph);

static void run(const Node *node) {
    switch (node->kind) {
    case COPY: memmove(node->target, node->source, node->bytes); break;
    case HOST: node->function(node->data); break;
    case KERNEL: run_kernel(node); break;
    case IF: if (conditions[node->condition]) run_graph(node->body); break;
    }
}

static void run_graph(const Graph *graph) {
    for (size_t at = 0; at < graph->count; at++) run(&graph->nodes[at]);
}

static void append(Graph *graph, Node node) {
    graph->nodes = realloc(graph->nodes, (graph->count + 1) * sizeof(Node));
    graph->nodes[graph->count++] = node;
}

static CUresult add(CUstream stream, Node node) {
    if (fake_fault) return fake_fault;
    Graph *graph = ((Stream *)stream)->capturing;
    if (graph) append(graph, node);
    else run(&node);
    return CUDA_SUCCESS;
}

CUresult cuStreamCreate(CUstream *stream, unsigned flags) { *stream = calloc(1, sizeof(Stream)); return CUDA_SUCCESS; }
CUresult cuStreamDestroy(CUstream stream) { free(stream); return CUDA_SUCCESS; }
CUresult cuStreamSynchronize(CUstream stream) { return fake_fault; }
CUresult cuStreamQuery(CUstream stream) { return fake_fault; }

CUresult cuMemcpyHtoDAsync(CUdeviceptr target, const void *source, size_t bytes, CUstream stream) {
    return add(stream, (Node){.kind = COPY, .target = (void *)target, .source = source, .bytes = bytes});
}
CUresult cuMemcpyDtoHAsync(void *target, CUdeviceptr source, size_t bytes, CUstream stream) {
    return add(stream, (Node){.kind = COPY, .target = target, .source = (void *)source, .bytes = bytes});
}
CUresult cuMemcpyDtoDAsync(CUdeviceptr target, CUdeviceptr source, size_t bytes, CUstream stream) {
    return add(stream, (Node){.kind = COPY, .target = (void *)target, .source = (void *)source, .bytes = bytes});
}
CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void *data) {
    return add(stream, (Node){.kind = HOST, .function = function, .data = data});
}

CUresult cuModuleLoadData(CUmodule *module, const void *image) { *module = (CUmodule)1; return CUDA_SUCCESS; }
CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
    for (int at = 0; at < 3; at++)
        if (!strcmp(name, KERNELS[at].name)) {
            *function = (CUfunction)(uintptr_t)(at + 1);
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_NOT_FOUND;
}
CUresult cuLaunchKernel(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                        unsigned shared, CUstream stream, void **parameters, void **extra) {
    Node node = {.kind = KERNEL, .kernel = (int)(uintptr_t)function - 1};
    for (int at = 0; at < KERNELS[node.kernel].count; at++)
        memcpy(&node.arguments[at], parameters[at], KERNELS[node.kernel].sizes[at]);
    return add(stream, node);
}

CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode) {
    ((Stream *)stream)->capturing = calloc(1, sizeof(Graph));
    return fake_fault;
}
CUresult cuStreamBeginCaptureToGraph(CUstream stream, CUgraph graph, const CUgraphNode *before, const CUgraphEdgeData *data,
                                     size_t count, CUstreamCaptureMode mode) {
    ((Stream *)stream)->capturing = (Graph *)graph;
    return fake_fault;
}
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph) {
    *graph = (CUgraph)((Stream *)stream)->capturing;
    ((Stream *)stream)->capturing = NULL;
    return fake_fault;
}
CUresult cuStreamGetCaptureInfo(CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id, CUgraph *graph,
                                const CUgraphNode **before, const CUgraphEdgeData **data, size_t *count) {
    *status = CU_STREAM_CAPTURE_STATUS_ACTIVE;
    if (id) *id = 1;
    if (graph) *graph = (CUgraph)((Stream *)stream)->capturing;
    if (before) *before = NULL;
    if (data) *data = NULL;
    if (count) *count = 0;
    return fake_fault;
}
CUresult cuStreamUpdateCaptureDependencies(CUstream stream, CUgraphNode *nodes, const CUgraphEdgeData *data, size_t count,
                                           unsigned flags) {
    return fake_fault;
}

CUresult cuGraphConditionalHandleCreate(CUgraphConditionalHandle *condition, CUgraph graph, CUcontext context,
                                        unsigned value, unsigned flags) {
    *condition = conditions_made++ % MOST_CONDITIONS;
    return fake_fault;
}
CUresult cuGraphAddNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *before, const CUgraphEdgeData *data,
                        size_t count, CUgraphNodeParams *parameters) {
    Graph *body = calloc(1, sizeof(Graph));
    parameters->conditional.phGraph_out = malloc(sizeof(CUgraph));
    parameters->conditional.phGraph_out[0] = (CUgraph)body;
    append((Graph *)graph, (Node){.kind = IF, .condition = parameters->conditional.handle, .body = body});
    *node = (CUgraphNode)body;
    return fake_fault;
}
// A graph lives on as what was instantiated from it.
CUresult cuGraphInstantiate(CUgraphExec *executable, CUgraph graph, unsigned long long flags) {
    *executable = (CUgraphExec)graph;
    return fake_fault;
}
CUresult cuGraphDestroy(CUgraph graph) { return CUDA_SUCCESS; }
CUresult cuGraphExecDestroy(CUgraphExec executable) { return CUDA_SUCCESS; }
CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
    if (fake_fault) return fake_fault;
    fake_launches++;
    memset(conditions, 0, sizeof conditions);
    run_graph((Graph *)executable);
    return CUDA_SUCCESS;
}
